import { readFileSync } from "node:fs";
import { fromBinary, isFieldSet } from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  FieldDescriptorProtoSchema,
  FileDescriptorSetSchema,
  type DescriptorProto,
  type EnumDescriptorProto,
  type FieldDescriptorProto,
  type FileDescriptorProto,
  type MethodDescriptorProto,
  type ServiceDescriptorProto,
} from "@bufbuild/protobuf/wkt";

/** The root of the repository. */
export const ROOT = new URL("../../../", import.meta.url);

/** The descriptor set that gRPC reflection serves, as it is committed. */
export const FILES: readonly FileDescriptorProto[] = fromBinary(
  FileDescriptorSetSchema,
  readFileSync(new URL("generated/tidemark.binpb", ROOT)),
).file;

/** A file of the repository as text. */
export function repositoryText(path: string): string {
  return readFileSync(new URL(path, ROOT), "utf8");
}

/** One service of the contract, by its short name. */
export function serviceNamed(name: string): ServiceDescriptorProto {
  const service = FILES.flatMap((file) => file.service).find((one) => one.name === name);
  if (service === undefined) throw new Error(`the descriptor set has no service ${name}`);
  return service;
}

/** One enum of the contract, by its short name. */
export function enumNamed(name: string): EnumDescriptorProto {
  const found = FILES.flatMap((file) => file.enumType).find((one) => one.name === name);
  if (found === undefined) throw new Error(`the descriptor set has no enum ${name}`);
  return found;
}

/** Everything in a file that a client could be built on, one line each: `Message.field = 1 string`. */
export function describeFile(file: FileDescriptorProto): string[] {
  return [
    ...file.service.flatMap((service) => service.method.map((method) => describeMethod(service, method))),
    ...file.messageType.flatMap((message) => describeMessage(message)),
    ...file.enumType.flatMap((one) => one.value.map((value) => `${one.name}.${value.name} = ${String(value.number)}`)),
  ];
}

function describeMethod(service: ServiceDescriptorProto, method: MethodDescriptorProto): string {
  const request = `${method.clientStreaming ? "stream " : ""}${shortType(method.inputType)}`;
  const response = `${method.serverStreaming ? "stream " : ""}${shortType(method.outputType)}`;
  return `${service.name}.${method.name}(${request}) returns (${response})`;
}

function describeMessage(message: DescriptorProto): string[] {
  const reserved = message.reservedRange.map(({ start, end }) => `${message.name} reserves ${String(start)} to ${String(end - 1)}`);
  const lines = message.field.map((field) => `${message.name}.${field.name} = ${String(field.number)} ${describeType(message, field)}`);
  return message.field.length === 0 ? [`${message.name} is empty`] : [...lines, ...reserved];
}

function describeType(message: DescriptorProto, field: FieldDescriptorProto): string {
  const entry = message.nestedType.find((nested) => nested.options?.mapEntry === true && field.typeName.endsWith(`.${nested.name}`));
  if (entry !== undefined) return `map<${entry.field.map((part) => describeType(entry, part)).join(", ")}>`;
  const type = field.typeName === "" ? Type[field.type].toLowerCase() : shortType(field.typeName);
  if (field.label === Label.REPEATED) return `repeated ${type}`;
  if (field.proto3Optional) return `optional ${type}`;
  // Unset reads as 0, which would be the first oneof of the message.
  if (!isFieldSet(field, FieldDescriptorProtoSchema.field.oneofIndex)) return type;
  return `${type}, one of ${message.oneofDecl[field.oneofIndex]?.name ?? ""}`;
}

function shortType(name: string): string {
  return name.replace(/^\.tidemark\.v1\./, "").replace(/^\./, "");
}
