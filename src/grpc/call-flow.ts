import type { ServerDuplexStream, ServerWritableStream } from "@grpc/grpc-js";
import type { BrokerError } from "../core/errors.js";
import { callStatus } from "./status.js";

/** A bidirectional call of this server: bytes both ways. */
export type RawCall = ServerDuplexStream<Buffer, Buffer>;

/** A call of this server that has one request and many answers, in bytes. */
export type AnswerCall = ServerWritableStream<Buffer, Buffer>;

/** Something that the server ends when it stops. */
export interface OpenCall {
  /** Ends the call as soon as what it owes is answered. */
  drain(error: BrokerError): void;
}

/** Opens a call that the server ends when it stops; what `open` throws ends the call at once. */
export type TrackAnswers = (call: AnswerCall, open: (onOver: () => void) => OpenCall) => void;

/**
 * Reading from a call, held up while there is any reason to. gRPC's flow control then stalls the client: backpressure instead
 * of memory.
 */
export class ReadGate<Reason extends string> {
  private readonly reasons = new Set<Reason>();

  constructor(private readonly call: RawCall) {}

  hold(reason: Reason): void {
    if (this.reasons.size === 0) this.call.pause();
    this.reasons.add(reason);
  }

  release(reason: Reason): void {
    if (this.reasons.delete(reason) && this.reasons.size === 0) this.call.resume();
  }
}

/** Ends a call with an error, behind what was written to it. grpc-js makes the status of an `error` event. */
export function endWithError(call: RawCall | AnswerCall, error: BrokerError): void {
  call.emit("error", callStatus(error));
}
