import type { ClientUnaryCall, ServiceError } from "@grpc/grpc-js";
import type { Connection } from "./connection.js";
import { TidemarkError } from "./tidemark-error.js";

type Callback<Response> = (error: ServiceError | null, response: Response) => void;

/**
 * Makes one unary call as a promise. Waits up to `patienceMs` for a connection (NOT_CONNECTED), then fails with what the call
 * failed with.
 */
export async function unaryCall<Response>(
  connection: Connection,
  patienceMs: number,
  start: (callback: Callback<Response>) => ClientUnaryCall,
): Promise<Response> {
  await connection.ready(patienceMs);
  return new Promise((resolve, reject) => {
    start((error, response) => {
      if (error === null) resolve(response);
      else reject(TidemarkError.fromCall(error));
    });
  });
}

/** Cancels a call when the signal aborts, or has. */
export function cancelledBy(signal: AbortSignal, call: ClientUnaryCall): ClientUnaryCall {
  const cancel = (): void => {
    call.cancel();
  };
  if (signal.aborted) cancel();
  else {
    signal.addEventListener("abort", cancel, { once: true });
    call.once("status", () => {
      signal.removeEventListener("abort", cancel);
    });
  }
  return call;
}
