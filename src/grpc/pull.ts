import type { handleUnaryCall } from "@grpc/grpc-js";
import { PullRequest, PullResponse, SettleRequest, SettleResponse } from "../../generated/tidemark/v1/pull.js";
import type { BrokerApi } from "../broker/api.js";
import type { Pulled } from "../broker/pull-api.js";
import { checkText, invalidField } from "../core/names.js";
import { LIMITS } from "../core/limits.js";
import type { Journal } from "../ports/journal.js";
import { endWithError } from "./call-flow.js";
import type { AnswerCall, OpenCall } from "./call-flow.js";
import { decodeRequest, encodeMessage } from "./codec.js";
import { DeliveriesFrame, deliveriesTextFrame } from "./deliveries-frame.js";
import { settlement } from "./from-wire.js";
import { sessionOrigin } from "./open-from-wire.js";
import { pullOrder } from "./pull-from-wire.js";
import { asBrokerError } from "./status.js";
import type { SubscribeContext } from "./subscribe.js";
import { DURABILITIES, sessionOpened, settleFailure } from "./to-wire.js";
import { unary } from "./unary.js";

/**
 * One Pull call. For the client it is unary; here it is a call with a stream of one answer, which is the same on the wire, because
 * only that tells whether the transport took the whole answer before the client went away.
 */
export class PullRpc implements OpenCall {
  /** @param onOver called once, when the call needs nothing more; never before this has returned */
  constructor(
    call: AnswerCall,
    { broker, connections, journal }: Omit<SubscribeContext, "clock">,
    onOver: () => void,
  ) {
    const request = decodeRequest(PullRequest, "PullRequest", call.request);
    const connection = connections.from(call.getPeer());
    const pull = broker.pull(pullOrder(request, sessionOrigin(call)));
    let answered = false;
    call.once("finish", () => {
      answered = true;
    });
    // Told of every call in the end, of one that was answered behind `finish`.
    call.once("cancelled", () => {
      if (!answered) pull.gone(connection?.destroyed === true ? "CONNECTION_LOST" : "CANCELLED");
      onOver();
    });
    pull.answer
      .then((pulled) => {
        call.write(pullResponse(pulled, request.textView));
        call.end();
      })
      .catch((error: unknown) => {
        endWithError(call, asBrokerError(error, journal, "Pull"));
      });
  }

  /** The broker ends a pull that waits. */
  drain(): void {
    return;
  }
}

/** Settle: verdicts on deliveries of any session, answered once they are durable. */
export function settle(broker: BrokerApi, journal: Journal): handleUnaryCall<Buffer, Buffer> {
  return unary(journal, "Settle", async (bytes) => {
    const request = decodeRequest(SettleRequest, "SettleRequest", bytes);
    if (request.sessionId === "") throw invalidField("session_id", "", "the session that was handed the messages: opened.session_id of its Pull or its stream");
    if (request.settle === undefined) throw invalidField("settle", "", "the verdicts");
    const session = checkText("session_id", request.sessionId, LIMITS.nameLengthMax);
    const { failures, committedOffset } = await broker.settle(session, settlement(request.settle));
    return encodeMessage(SettleResponse, {
      result: {
        requestIds: [],
        failures: failures.map((failure) => settleFailure({ ...failure, requestId: 0n })),
        committedOffset: BigInt(committedOffset),
        durability: DURABILITIES[broker.durability],
      },
    });
  });
}

/** A batch is field 1 here as it is in SubscribeResponse, so a frame of the stream is a batch of the answer. */
function pullResponse({ opened, batches }: Pulled, textView: boolean): Buffer {
  // There are no heartbeats.
  const own = encodeMessage(PullResponse, { batches: [], opened: { ...sessionOpened(opened), heartbeat: undefined } });
  if (textView) return Buffer.concat([...batches.map(({ batch, parts, backlogCount }) => deliveriesTextFrame(batch, parts, backlogCount)), own]);
  const frames = batches.map(({ batch, parts, backlogCount }) => new DeliveriesFrame(batch, parts, backlogCount));
  const response = Buffer.allocUnsafe(frames.reduce((bytes, { byteLength }) => bytes + byteLength, own.length));
  own.copy(response, frames.reduce((at, frame) => at + frame.copy(response, at), 0));
  return response;
}
