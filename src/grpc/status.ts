import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { Metadata, status as Code } from "@grpc/grpc-js";
import { BrokerError } from "../core/errors.js";
import type { StatusName } from "../core/errors.js";
import type { Journal } from "../ports/journal.js";

/** ErrorInfo.domain of every error that this service reports: reasons are unique within it. */
export const ERROR_DOMAIN = "tidemark.v1";

/** How a call ends, as grpc-js takes it. */
export interface CallStatus {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
}

const CODES: Readonly<Record<StatusName, number>> = {
  INVALID_ARGUMENT: Code.INVALID_ARGUMENT,
  NOT_FOUND: Code.NOT_FOUND,
  ALREADY_EXISTS: Code.ALREADY_EXISTS,
  FAILED_PRECONDITION: Code.FAILED_PRECONDITION,
  OUT_OF_RANGE: Code.OUT_OF_RANGE,
  RESOURCE_EXHAUSTED: Code.RESOURCE_EXHAUSTED,
  ABORTED: Code.ABORTED,
  UNIMPLEMENTED: Code.UNIMPLEMENTED,
  UNAVAILABLE: Code.UNAVAILABLE,
  DATA_LOSS: Code.DATA_LOSS,
  INTERNAL: Code.INTERNAL,
};

/** gRPC's number of a canonical code. */
export function codeNumber(name: StatusName): number {
  return CODES[name];
}

/**
 * What a client may hear of a failure. A BrokerError is meant for it. Anything else is our own mistake: the journal gets all
 * of it, the client neither text nor stack, which could hold paths.
 * @param where the call that failed, for the journal
 */
export function asBrokerError(error: unknown, journal: Journal, where: string): BrokerError {
  if (error instanceof BrokerError) return error;
  journal.error("unexpected error", { where, error });
  return new BrokerError("INTERNAL", "the server failed unexpectedly; its log says why");
}

/** The status that a call ends with, details included. */
export function callStatus(error: BrokerError): CallStatus {
  const metadata = new Metadata();
  metadata.set("grpc-status-details-bin", encodeStatusDetails(error));
  return { code: codeNumber(error.status), details: error.message, metadata };
}

/**
 * A google.rpc.Status with an ErrorInfo, and a RetryInfo exactly when the same call may succeed later.
 *
 * By hand, since these three never change and nothing else of googleapis is needed. Fields after
 * https://github.com/googleapis/googleapis/blob/master/google/rpc/status.proto and error_details.proto:
 * Status { int32 code = 1; string message = 2; repeated Any details = 3 }, Any { string type_url = 1; bytes value = 2 },
 * ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3 },
 * RetryInfo { Duration retry_delay = 1 }, Duration { int64 seconds = 1; int32 nanos = 2 }.
 */
export function encodeStatusDetails(error: BrokerError): Buffer {
  const status = new BinaryWriter().uint32(8).int32(codeNumber(error.status)).uint32(18).string(error.message);
  const info = new BinaryWriter().uint32(10).string(error.reason).uint32(18).string(ERROR_DOMAIN);
  for (const [key, value] of Object.entries(error.metadata)) {
    info.uint32(26).fork().uint32(10).string(key).uint32(18).string(value).join();
  }
  writeAny(status, "google.rpc.ErrorInfo", info);
  if (error.retryAfterMs !== undefined) {
    const delayMs = Math.ceil(error.retryAfterMs);
    const retry = new BinaryWriter().uint32(10).fork();
    retry.uint32(8).int64(Math.floor(delayMs / 1_000)).uint32(16).int32((delayMs % 1_000) * 1_000_000);
    writeAny(status, "google.rpc.RetryInfo", retry.join());
  }
  return Buffer.from(status.finish());
}

function writeAny(status: BinaryWriter, typeName: string, message: BinaryWriter): void {
  status.uint32(26).fork().uint32(10).string(`type.googleapis.com/${typeName}`).uint32(18).bytes(message.finish()).join();
}
