import { PublishStreamResponse } from "../../generated/tidemark/v1/publish.js";
import type { PublishResult, PublishStreamRequest } from "../../generated/tidemark/v1/publish.js";
import type { BrokerApi, PublishOutcome } from "../broker/api.js";
import { BrokerError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import type { Journal } from "../ports/journal.js";
import type { Telemetry } from "../ports/telemetry.js";
import { endWithError, ReadGate } from "./call-flow.js";
import type { OpenCall, RawCall } from "./call-flow.js";
import { encodeMessage } from "./codec.js";
import type { ScannedFrame } from "./frame-scan.js";
import { NOTHING_STORED, prepareFrame, readFrame } from "./publish-frame.js";
import { asBrokerError } from "./status.js";
import { publishResult } from "./to-wire.js";
import type { IntakeBudget } from "./intake-budget.js";

/** Frames of one stream that wait for their answer: at most so many bytes, then the client is stalled. */
const UNANSWERED_BYTES_MAX = LIMITS.openBatchBytesMax;

/** What an unanswered frame costs beside its bytes, so that empty frames are bounded too. */
const FRAME_OVERHEAD_BYTES = 256;

/** Results are cut into responses of about this size, well below what a default client receives. */
const RESPONSE_BYTES_MAX = 1024 * 1024;

/** What a PublishStream call needs of its server. */
export interface PublishStreamContext {
  readonly broker: BrokerApi;
  readonly journal: Journal;
  readonly telemetry: Telemetry;
  /** One for all streams of the server. */
  readonly turn: IntakeBudget;
}

/** A frame on its way: results leave in the order in which frames came. */
interface Slot {
  readonly requestId: bigint;
  readonly bytes: number;
  result: PublishResult | undefined;
}

/**
 * One PublishStream call. Frames are handed to the broker as they come; their results wait for those before them and leave
 * together, one response for all that a turn settled.
 */
export class PublishStreamCall implements OpenCall {
  private readonly gate: ReadGate<"queue full" | "unanswered" | "transport" | "order" | "turn">;
  private readonly slots: Slot[] = [];
  private unansweredBytes = 0;
  private flushing = false;
  /** A frame with halt_on_failure failed, and no frame has said `resume` since. */
  private halted = false;
  /** Nothing more is read: the client finished, or the call is to end with `error`. */
  private closing = false;
  private over = false;
  private error: BrokerError | undefined;

  /** @param onOver called once, when the call needs nothing more */
  constructor(
    private readonly call: RawCall,
    private readonly context: PublishStreamContext,
    private readonly onOver: () => void,
  ) {
    this.gate = new ReadGate(call);
    call.on("data", (bytes: Buffer) => {
      this.received(bytes);
    });
    call.on("end", () => {
      this.close(undefined);
    });
    // The stream is gone. What the broker took stays published; nobody is left to hear of it.
    call.on("cancelled", () => {
      this.finish();
    });
  }

  drain(error: BrokerError): void {
    this.close(error);
  }

  private received(bytes: Buffer): void {
    if (this.closing) return;
    let request: ScannedFrame | PublishStreamRequest;
    try {
      request = readFrame(bytes);
    } catch (error) {
      this.close(asBrokerError(error, this.context.journal, "PublishStream"));
      return;
    }
    const slot = this.openSlot(request.requestId, bytes.length);
    if (request.resume) this.halted = false;
    if (this.halted) {
      this.answer(slot, { ok: false, error: new BrokerError("HALTED", "an earlier frame failed; send a frame with resume to go on") });
    } else {
      this.publish(slot, request, bytes.length);
    }
    if (this.context.turn.spend(bytes.length, request.messages.length)) this.waitForTurn();
  }

  private waitForTurn(): void {
    this.gate.hold("turn");
    this.context.turn.whenRenewed(() => {
      this.gate.release("turn");
    });
  }

  private publish(slot: Slot, request: ScannedFrame | PublishStreamRequest, requestBytes: number): void {
    const halts = request.haltOnFailure;
    try {
      const { frame, answer } = prepareFrame(request, requestBytes);
      if (frame === undefined) {
        this.judged(slot, answer(NOTHING_STORED), halts);
        return;
      }
      // Nothing may overtake a frame whose failure halts the stream, so its answer is waited for.
      if (halts) this.gate.hold("order");
      const hasRoom = this.context.broker.publish(frame, (outcome) => {
        this.judged(slot, answer(outcome), halts);
        if (halts) this.gate.release("order");
      });
      if (!hasRoom) this.waitForRoom(frame.queue);
    } catch (error) {
      this.judged(slot, { ok: false, error: asBrokerError(error, this.context.journal, "PublishStream") }, halts);
    }
  }

  private waitForRoom(queue: string): void {
    this.gate.hold("queue full");
    this.context.broker.whenWritable(queue, () => {
      this.gate.release("queue full");
    });
  }

  /** A message that fails on its own in an independent frame is a failure of the frame, as far as halting goes. */
  private judged(slot: Slot, outcome: PublishOutcome, halts: boolean): void {
    if (halts && (!outcome.ok || outcome.outcomes.some((one) => one.error !== undefined))) this.halted = true;
    this.answer(slot, outcome);
  }

  private openSlot(requestId: bigint, requestBytes: number): Slot {
    const slot: Slot = { requestId, bytes: requestBytes + FRAME_OVERHEAD_BYTES, result: undefined };
    this.slots.push(slot);
    this.unansweredBytes += slot.bytes;
    if (this.unansweredBytes > UNANSWERED_BYTES_MAX) this.gate.hold("unanswered");
    return slot;
  }

  private answer(slot: Slot, outcome: PublishOutcome): void {
    this.countFailures(outcome);
    if (this.over) return;
    slot.result = publishResult(slot.requestId, outcome);
    if (this.flushing || this.slots[0] !== slot) return;
    this.flushing = true;
    setImmediate(() => {
      this.flush();
    });
  }

  private countFailures(outcome: PublishOutcome): void {
    const { telemetry } = this.context;
    if (!outcome.ok) telemetry.publishFailed(outcome.error.reason);
    else for (const { error } of outcome.outcomes) if (error !== undefined) telemetry.publishFailed(error.reason);
  }

  /** Sends every result that no earlier frame holds up. */
  private flush(): void {
    this.flushing = false;
    if (this.over) return;
    let results: PublishResult[] = [];
    let bytes = 0;
    let sent = 0;
    for (const { result, bytes: slotBytes } of this.slots) {
      if (result === undefined) break;
      sent += 1;
      this.unansweredBytes -= slotBytes;
      bytes += resultBytes(result);
      results.push(result);
      if (bytes < RESPONSE_BYTES_MAX) continue;
      this.write(results);
      results = [];
      bytes = 0;
    }
    if (results.length > 0) this.write(results);
    this.slots.splice(0, sent);
    if (this.unansweredBytes <= UNANSWERED_BYTES_MAX / 2) this.gate.release("unanswered");
    this.endIfAnswered();
  }

  private write(results: PublishResult[]): void {
    if (this.call.write(encodeMessage(PublishStreamResponse, { results }))) return;
    this.gate.hold("transport");
    this.call.once("drain", () => {
      this.gate.release("transport");
    });
  }

  private close(error: BrokerError | undefined): void {
    if (this.closing) return;
    this.closing = true;
    this.error = error;
    this.endIfAnswered();
  }

  private endIfAnswered(): void {
    if (!this.closing || this.over || this.slots.length > 0) return;
    this.finish();
    if (this.error === undefined) this.call.end();
    else endWithError(this.call, this.error);
  }

  private finish(): void {
    if (this.over) return;
    this.over = true;
    this.closing = true;
    this.slots.length = 0;
    this.onOver();
  }
}

/** About what a result takes on the wire; texts are short and mostly ASCII. */
function resultBytes(result: PublishResult): number {
  let bytes = 64 + result.detail.length;
  for (const outcome of result.outcomes) bytes += 48 + outcome.detail.length;
  return bytes;
}
