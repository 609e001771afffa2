import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { Duration } from "../../generated/google/protobuf/duration.js";
import { durationToMs } from "./wire-time.js";

/** What the broker says about a failure besides its status code. */
export interface StatusDetails {
  /** UPPER_SNAKE, for programs. Empty when the failure was not made by the broker. */
  readonly reason: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** Set exactly when the same call may succeed later. */
  readonly retryAfterMs: number | undefined;
}

const NO_DETAILS: StatusDetails = { reason: "", metadata: {}, retryAfterMs: undefined };
const ERROR_INFO = "google.rpc.ErrorInfo";
const RETRY_INFO = "google.rpc.RetryInfo";

/**
 * Reads google.rpc.Status, the content of the trailer `grpc-status-details-bin`: its ErrorInfo and RetryInfo, wherever they
 * stand; other details are passed over. Bytes that are no such message give empty details, because the status code that came
 * beside them holds all the same.
 */
export function decodeStatusDetails(bytes: Uint8Array | undefined): StatusDetails {
  if (bytes === undefined) return NO_DETAILS;
  try {
    return readStatus(bytes);
  } catch (cause) {
    return { ...NO_DETAILS, metadata: { undecodable_details: String(cause) } };
  }
}

function readStatus(bytes: Uint8Array): StatusDetails {
  let details = NO_DETAILS;
  eachField(bytes, (field, reader) => {
    if (field !== 3) return false;
    const { typeUrl, value } = readAny(reader.bytes());
    if (typeUrl.endsWith(`/${ERROR_INFO}`)) details = { ...details, ...readErrorInfo(value) };
    else if (typeUrl.endsWith(`/${RETRY_INFO}`)) details = { ...details, retryAfterMs: readRetryInfo(value) };
    return true;
  });
  return details;
}

function readAny(bytes: Uint8Array): { typeUrl: string; value: Uint8Array } {
  let typeUrl = "";
  let value: Uint8Array = new Uint8Array();
  eachField(bytes, (field, reader) => {
    if (field === 1) typeUrl = reader.string();
    else if (field === 2) value = reader.bytes();
    else return false;
    return true;
  });
  return { typeUrl, value };
}

function readErrorInfo(bytes: Uint8Array): Pick<StatusDetails, "reason" | "metadata"> {
  let reason = "";
  const metadata: Record<string, string> = {};
  eachField(bytes, (field, reader) => {
    if (field === 1) reason = reader.string();
    else if (field === 3) {
      const [key, value] = readMapEntry(reader.bytes());
      metadata[key] = value;
    } else return false;
    return true;
  });
  return { reason, metadata };
}

function readMapEntry(bytes: Uint8Array): [string, string] {
  let key = "";
  let value = "";
  eachField(bytes, (field, reader) => {
    if (field === 1) key = reader.string();
    else if (field === 2) value = reader.string();
    else return false;
    return true;
  });
  return [key, value];
}

function readRetryInfo(bytes: Uint8Array): number {
  let delayMs = 0;
  eachField(bytes, (field, reader) => {
    if (field !== 1) return false;
    delayMs = durationToMs(Duration.decode(reader.bytes()));
    return true;
  });
  return delayMs;
}

/** Walks the fields of a message. `read` says whether it consumed the value; what it did not is skipped. Every field read here is length-delimited. */
function eachField(bytes: Uint8Array, read: (field: number, reader: BinaryReader) => boolean): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (wireType !== WireType.LengthDelimited || !read(field, reader)) reader.skip(wireType, field);
  }
}
