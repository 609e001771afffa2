import type { handleUnaryCall, sendUnaryData } from "@grpc/grpc-js";
import { BrokerError } from "../core/errors.js";
import type { Journal } from "../ports/journal.js";
import { asBrokerError, callStatus } from "./status.js";

/** As `unary`, for a method that is answered at once; what it throws becomes the right status. */
export function unaryAtOnce(journal: Journal, method: string, answer: (request: Buffer) => Buffer): handleUnaryCall<Buffer, Buffer> {
  return unary(journal, method, (request) => Promise.resolve(request).then(answer));
}

/** A unary method that is answered by a promise; whatever it rejects with becomes the right status. */
export function unary(journal: Journal, method: string, answer: (request: Buffer) => Promise<Buffer>): handleUnaryCall<Buffer, Buffer> {
  return (call, callback) => {
    answer(call.request).then(
      (response) => {
        callback(null, response);
      },
      (error: unknown) => {
        refuse(callback, error, journal, method);
      },
    );
  };
}

/** Ends a unary call with the status of an error. */
export function refuse(callback: sendUnaryData<Buffer>, error: unknown, journal: Journal, method: string): void {
  callback(callStatus(asBrokerError(error, journal, method)));
}

/** A method of the contract that this server does not serve yet. */
export function methodNotBuiltYet(method: string): BrokerError {
  return new BrokerError("NOT_BUILT_YET", `${method} is part of the contract, but this server does not serve it yet`, { method });
}
