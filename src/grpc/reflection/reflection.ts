import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { status as Code } from "@grpc/grpc-js";
import type { Server } from "@grpc/grpc-js";
import { BrokerError } from "../../core/errors.js";
import { endWithError } from "../call-flow.js";
import type { RawCall } from "../call-flow.js";
import { asBuffer, rawService } from "../codec.js";
import type { DescriptorIndex } from "./descriptor-index.js";
import type { ReflectionPackage } from "./standard-descriptors.js";

/** Field numbers of ServerReflectionRequest's oneof. */
const FILE_BY_FILENAME = 3;
const FILE_CONTAINING_SYMBOL = 4;
const FILE_CONTAINING_EXTENSION = 5;
const ALL_EXTENSION_NUMBERS_OF_TYPE = 6;
const LIST_SERVICES = 7;

const PACKAGES: readonly ReflectionPackage[] = ["grpc.reflection.v1", "grpc.reflection.v1alpha"];

interface Question {
  readonly host: string;
  /** Which member of the oneof is set; 0: none that is known. */
  readonly field: number;
  readonly text: string;
}

/** Serves gRPC reflection, v1 and v1alpha, which share their wire format. */
export function addReflection(server: Server, index: DescriptorIndex): void {
  for (const packageName of PACKAGES) {
    const service = rawService({
      ServerReflectionInfo: { path: `/${packageName}.ServerReflection/ServerReflectionInfo`, requestStream: true, responseStream: true },
    });
    server.addService(service, {
      ServerReflectionInfo: (call: RawCall) => {
        answerAll(call, index);
      },
    });
  }
}

function answerAll(call: RawCall, index: DescriptorIndex): void {
  call.on("data", (request: Buffer) => {
    let question: Question;
    try {
      question = readQuestion(request);
    } catch (error) {
      endWithError(call, new BrokerError("UNDECODABLE", `the bytes sent are no ServerReflectionRequest: ${String(error)}`));
      return;
    }
    const answer = answerTo(question, index);
    // One question a time is the rule among clients; one that floods without reading is stalled.
    if (!call.write(composeResponse(question.host, request, answer))) {
      call.pause();
      call.once("drain", () => call.resume());
    }
  });
  call.on("end", () => {
    call.end();
  });
}

function readQuestion(bytes: Buffer): Question {
  const reader = new BinaryReader(bytes);
  let host = "";
  let asked = { field: 0, text: "" };
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (wireType !== WireType.LengthDelimited || field === FILE_CONTAINING_EXTENSION) {
      reader.skip(wireType, field);
      if (field === FILE_CONTAINING_EXTENSION) asked = { field, text: "" };
    } else if (field === 1) {
      host = reader.string();
    } else if (field >= FILE_BY_FILENAME && field <= LIST_SERVICES) {
      asked = { field, text: reader.string() };
    } else {
      reader.skip(wireType, field);
    }
  }
  return { host, ...asked };
}

/** ServerReflectionResponse { valid_host = 1, original_request = 2, and the answer, which is a field of its own }. */
function composeResponse(host: string, request: Buffer, answer: Uint8Array): Buffer {
  const writer = new BinaryWriter();
  if (host !== "") writer.uint32(10).string(host);
  return asBuffer(writer.uint32(18).bytes(request).raw(answer).finish());
}

function answerTo(question: Question, index: DescriptorIndex): Uint8Array {
  switch (question.field) {
    case FILE_BY_FILENAME:
      return filesAnswer(index.fileByName(question.text), `no file ${question.text}`);
    case FILE_CONTAINING_SYMBOL:
      return filesAnswer(index.fileBySymbol(question.text), `no symbol ${question.text}`);
    case FILE_CONTAINING_EXTENSION:
      return errorAnswer(Code.NOT_FOUND, "this server declares no extensions");
    case ALL_EXTENSION_NUMBERS_OF_TYPE:
      return index.isMessageType(question.text) ? noExtensions(question.text) : errorAnswer(Code.NOT_FOUND, `no message type ${question.text}`);
    case LIST_SERVICES:
      return servicesAnswer(index.services());
    default:
      return errorAnswer(Code.INVALID_ARGUMENT, "the request asks for nothing that this server knows");
  }
}

/** file_descriptor_response = 4 { repeated bytes file_descriptor_proto = 1 }. */
function filesAnswer(files: readonly Uint8Array[] | undefined, problem: string): Uint8Array {
  if (files === undefined) return errorAnswer(Code.NOT_FOUND, problem);
  const writer = new BinaryWriter().uint32(34).fork();
  for (const file of files) writer.uint32(10).bytes(file);
  return writer.join().finish();
}

/** all_extension_numbers_response = 5 { base_type_name = 1, no numbers }. */
function noExtensions(typeName: string): Uint8Array {
  return new BinaryWriter().uint32(42).fork().uint32(10).string(typeName).join().finish();
}

/** list_services_response = 6 { repeated ServiceResponse service = 1 { name = 1 } }. */
function servicesAnswer(names: readonly string[]): Uint8Array {
  const writer = new BinaryWriter().uint32(50).fork();
  for (const name of names) writer.uint32(10).fork().uint32(10).string(name).join();
  return writer.join().finish();
}

/** error_response = 7 { error_code = 1, error_message = 2 }. */
function errorAnswer(code: number, text: string): Uint8Array {
  return new BinaryWriter().uint32(58).fork().uint32(8).int32(code).uint32(18).string(text).join().finish();
}
