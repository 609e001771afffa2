import { SubscribeResponse, WaitingFor } from "../../generated/tidemark/v1/subscribe.js";
import type { HeartbeatFacts, SessionSink } from "../broker/api.js";
import type { SessionOpened } from "../broker/session-opened.js";
import type { BrokerError } from "../core/errors.js";
import type { BatchFacts, DeliveryCause, DeliveryRun, OffsetRun, SettleFailure } from "../core/session.js";
import type { DeliveryPart } from "../core/subscription/effects.js";
import type { Offset } from "../core/units.js";
import type { Durability } from "../ports/engine.js";
import { endWithError } from "./call-flow.js";
import type { RawCall } from "./call-flow.js";
import { encodeMessage } from "./codec.js";
import { DeliveriesFrame, deliveriesTextFrame } from "./deliveries-frame.js";
import { CAUSES, deliveryRange, DURABILITIES, sessionOpened, settleFailure, WAITING_FOR } from "./to-wire.js";
import { duration } from "./wire-numbers.js";

/**
 * Bytes of deliveries that may wait in a session's transport before the broker is asked to stop. The stream itself says so
 * only at 16 frames, whatever their size.
 */
const WAITING_BYTES_MAX = 2 * 1024 * 1024;

/**
 * Bytes of answers that may wait unread before reading stops. Far more than a client owes while it is only slow: to stop
 * reading early could leave two sides waiting for each other.
 */
const UNREAD_ANSWER_BYTES_MAX = 1024 * 1024;

/** What the frames' fate means for the other direction of the call. */
export interface FramesListener {
  transportChanged(ready: boolean): void;
  taken(batchId: number): void;
  answersUnread(many: boolean): void;
  /** The broker ended the session; the stream ends behind what was written. */
  ended(): void;
  /** A frame could not be made: a mistake of ours. */
  failed(error: unknown): void;
}

/** The broker's half of a session on the wire: every call is one frame of the stream. */
export class SessionFrames implements SessionSink {
  /** UTF-8 payloads go out as text. */
  textView = false;
  /** AUTO: the broker hears of each batch that the transport took. */
  confirmsTaking = false;
  private ready = true;
  private streamFull = false;
  private waitingBytes = 0;
  /** Where the last chunk begins that the last frame was made of. */
  private lastChunk: Offset | undefined;
  private answerBytes = 0;
  private answersUnread = false;
  private over = false;
  /** What happened before the broker had handed out its session: told as soon as somebody listens. */
  private announced = false;
  private readonly takenEarly: number[] = [];

  constructor(
    private readonly call: RawCall,
    private readonly durability: Durability,
    private readonly listener: FramesListener,
  ) {
    call.on("drain", () => {
      this.streamFull = false;
      this.tellTransport();
    });
  }

  /** The listener hears from now on; and now, of what it missed. */
  announce(): void {
    this.announced = true;
    if (!this.ready) this.listener.transportChanged(false);
    for (const batchId of this.takenEarly.splice(0)) this.listener.taken(batchId);
  }

  /** Nothing is written any more. */
  stop(): void {
    this.over = true;
  }

  opened(facts: SessionOpened): void {
    this.answer({ $case: "opened", value: sessionOpened(facts) });
  }

  deliver(batch: BatchFacts, parts: readonly DeliveryPart[], backlogCount: number): void {
    if (this.over) return;
    const frame = this.compose(() => this.deliveries(batch, parts, backlogCount));
    if (frame === undefined) return;
    const { batchId } = batch;
    const bytes = this.addedBytes(frame, parts);
    this.waitingBytes += bytes;
    // grpc-js calls for no more of a Buffer than a frame has.
    const hasRoom = this.call.write(frame as Buffer, (error: Error | null | undefined) => {
      this.waitingBytes -= bytes;
      // A stream that broke reports itself as cancelled; a batch that it did not take is not taken.
      if (error) return;
      if (this.confirmsTaking) this.tellTaken(batchId);
      this.tellTransport();
    });
    if (!hasRoom) this.streamFull = true;
    this.tellTransport();
  }

  result(requestIds: readonly bigint[], failures: readonly SettleFailure[], committedOffset: Offset): void {
    this.answer({
      $case: "result",
      value: {
        requestIds: [...requestIds],
        failures: failures.map(settleFailure),
        committedOffset: BigInt(committedOffset),
        durability: DURABILITIES[this.durability],
      },
    });
  }

  heartbeat(facts: HeartbeatFacts): void {
    this.answer({
      $case: "heartbeat",
      value: {
        headOffset: BigInt(facts.headOffset),
        committedOffset: BigInt(facts.committedOffset),
        inFlightCount: BigInt(facts.inFlightCount),
        backlogCount: BigInt(facts.backlogCount),
        deadLetterCount: BigInt(facts.deadLetterCount),
        waitingFor: facts.waitingFor === undefined ? WaitingFor.UNSPECIFIED : WAITING_FOR[facts.waitingFor],
      },
    });
  }

  recall(ranges: readonly DeliveryRun[], cause: DeliveryCause): void {
    this.answer({ $case: "recall", value: { ranges: ranges.map(deliveryRange), cause: CAUSES[cause] } });
  }

  gap(first: Offset, last: Offset, matchingCount: number): void {
    this.answer({ $case: "gap", value: { firstOffset: BigInt(first), lastOffset: BigInt(last), matchingCount: BigInt(matchingCount) } });
  }

  notice(reason: string, detail: string, range: OffsetRun | DeliveryRun | undefined): void {
    this.answer({ $case: "notice", value: { reason, detail, range: range === undefined ? undefined : deliveryRange(range) } });
  }

  goingAway(graceMs: number, reconnectAfterMs: number, reason: string): void {
    this.answer({ $case: "goingAway", value: { grace: duration(graceMs), reconnectAfter: duration(reconnectAfterMs), reason } });
  }

  end(error: BrokerError | undefined): void {
    if (this.over) return;
    this.listener.ended();
    if (error === undefined) this.call.end();
    else endWithError(this.call, error);
  }

  private answer(frame: NonNullable<SubscribeResponse["frame"]>): void {
    if (this.over) return;
    const bytes = this.compose(() => encodeMessage(SubscribeResponse, { frame }));
    if (bytes === undefined) return;
    this.answerBytes += bytes.length;
    this.call.write(bytes, () => {
      this.answerBytes -= bytes.length;
      this.tellAnswers();
    });
    this.tellAnswers();
  }

  private deliveries(batch: BatchFacts, parts: readonly DeliveryPart[], backlogCount: number): DeliveriesFrame | Buffer {
    if (this.textView) return deliveriesTextFrame(batch, parts, backlogCount);
    const frame = new DeliveriesFrame(batch, parts, backlogCount);
    return frame.isDense ? frame : frame.toBuffer();
  }

  /** What a frame adds to the memory that waits. Frames of one chunk hold it together. */
  private addedBytes(frame: DeliveriesFrame | Buffer, parts: readonly DeliveryPart[]): number {
    const goesOn = parts[0]?.chunk.first === this.lastChunk;
    this.lastChunk = parts[parts.length - 1]?.chunk.first;
    return goesOn || !(frame instanceof DeliveriesFrame) ? frame.byteLength : Math.max(frame.byteLength, frame.heldBytes);
  }

  private compose<Frame>(make: () => Frame): Frame | undefined {
    try {
      return make();
    } catch (error) {
      this.listener.failed(error);
      return undefined;
    }
  }

  private tellTransport(): void {
    const ready = !this.streamFull && this.waitingBytes <= (this.ready ? WAITING_BYTES_MAX : WAITING_BYTES_MAX / 2);
    if (ready === this.ready || this.over) return;
    this.ready = ready;
    if (this.announced) this.listener.transportChanged(ready);
  }

  private tellTaken(batchId: number): void {
    if (this.announced) this.listener.taken(batchId);
    else this.takenEarly.push(batchId);
  }

  private tellAnswers(): void {
    const unread = this.answerBytes > (this.answersUnread ? UNREAD_ANSWER_BYTES_MAX / 2 : UNREAD_ANSWER_BYTES_MAX);
    if (unread === this.answersUnread || this.over) return;
    this.answersUnread = unread;
    this.listener.answersUnread(unread);
  }
}
