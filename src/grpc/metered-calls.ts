import { status as Code } from "@grpc/grpc-js";
import type { handleUnaryCall, sendUnaryData, StatusObject } from "@grpc/grpc-js";
import type { Clock } from "../ports/clock.js";
import type { MethodMeter } from "../ports/telemetry.js";
import type { RawCall } from "./call-flow.js";

/** A unary method whose calls are counted and timed, from the request read to the answer given. */
export function meteredUnary(handle: handleUnaryCall<Buffer, Buffer>, meter: MethodMeter, clock: Clock): handleUnaryCall<Buffer, Buffer> {
  return (call, callback) => {
    const since = clock.monotonic();
    meter.started();
    const answer: sendUnaryData<Buffer> = (error, value, trailer, flags) => {
      meter.ended(error === null ? "OK" : codeName(error.code), clock.monotonic() - since);
      callback(error, value, trailer, flags);
    };
    handle(call, answer);
  };
}

/** A streaming method whose calls are counted, and timed from beginning to end. */
export function meteredStream(handle: (call: RawCall) => void, meter: MethodMeter, clock: Clock): (call: RawCall) => void {
  return (call) => {
    const since = clock.monotonic();
    meter.started();
    let over = false;
    const ended = (name: string): void => {
      if (over) return;
      over = true;
      meter.ended(name, clock.monotonic() - since);
    };
    // The handler ends the call by one of the first two; a client that goes away is told of by the third.
    call.once("error", ({ code }: Partial<StatusObject>) => {
      ended(codeName(code));
    });
    call.once("finish", () => {
      ended("OK");
    });
    call.once("cancelled", () => {
      ended("CANCELLED");
    });
    handle(call);
  };
}

function codeName(code: number | undefined): string {
  return Code[code ?? Code.UNKNOWN] ?? "UNKNOWN";
}
