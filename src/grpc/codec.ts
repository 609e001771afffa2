import { BinaryReader } from "@bufbuild/protobuf/wire";
import type { BinaryWriter } from "@bufbuild/protobuf/wire";
import type { MethodDefinition } from "@grpc/grpc-js";
import { BrokerError } from "../core/errors.js";

/** A method as the server registers it: bytes in, bytes out. */
export type RawMethod = MethodDefinition<Buffer, Buffer>;

interface GeneratedMethod {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
}

interface Decoder<T> {
  decode(reader: BinaryReader, length: number): T;
}

interface Encoder<T> {
  encode(message: T): BinaryWriter;
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const same = (bytes: Buffer): Buffer => bytes;

/**
 * A generated service with its codecs taken out: handlers decode and encode. So a request that is no message of its type can
 * be answered with INVALID_ARGUMENT (grpc-js says INTERNAL when a deserializer throws), and frames made of stored bytes go out
 * as they are.
 */
export function rawService<Service extends Readonly<Record<string, GeneratedMethod>>>(service: Service): Record<keyof Service, RawMethod> {
  const methods = Object.entries(service).map(([name, { path, requestStream, responseStream }]) => [
    name,
    { path, requestStream, responseStream, requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same },
  ]);
  return Object.fromEntries(methods) as Record<keyof Service, RawMethod>;
}

/**
 * Decodes a request; UNDECODABLE when the bytes are none. Stricter than the generated code alone: text that is not UTF-8, and
 * a last field that does not end with the message, are errors instead of being replaced or dropped.
 */
export function decodeRequest<T>(decoder: Decoder<T>, typeName: string, bytes: Uint8Array): T {
  const reader = new BinaryReader(bytes, (text) => strictUtf8.decode(text));
  let message: T;
  try {
    message = decoder.decode(reader, bytes.length);
  } catch (error) {
    throw undecodable(typeName, error instanceof Error ? error.message : String(error));
  }
  if (reader.pos !== bytes.length) throw undecodable(typeName, `a field ends at byte ${reader.pos} of ${bytes.length}`);
  return message;
}

/** Encodes a message into a Buffer of its own. */
export function encodeMessage<T>(encoder: Encoder<T>, message: T): Buffer {
  return asBuffer(encoder.encode(message).finish());
}

/** The same bytes as a Buffer, uncopied. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function undecodable(typeName: string, problem: string): BrokerError {
  return new BrokerError("UNDECODABLE", `the bytes sent are no ${typeName}: ${problem}; generate the client from this server's .proto files`, {
    message: typeName,
  });
}
