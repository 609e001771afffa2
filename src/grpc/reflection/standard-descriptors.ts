/**
 * Descriptors of what every gRPC server is expected to have, so that reflection can describe that as well. Names, numbers and
 * types after grpc/grpc-proto (grpc/health/v1/health.proto, grpc/reflection/v1/reflection.proto and its v1alpha) and
 * googleapis/googleapis (google/rpc/error_details.proto).
 */
import { create, toBinary } from "@bufbuild/protobuf";
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import type { DescriptorProtoSchema, FieldDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";

type FileInit = MessageInitShape<typeof FileDescriptorProtoSchema>;
type MessageInit = MessageInitShape<typeof DescriptorProtoSchema>;
type FieldInit = MessageInitShape<typeof FieldDescriptorProtoSchema>;

/** Package of the reflection service, in its two versions, which differ in nothing else. */
export type ReflectionPackage = "grpc.reflection.v1" | "grpc.reflection.v1alpha";

/** The health service, encoded as a FileDescriptorProto. */
export function healthDescriptor(): Uint8Array {
  const types = ".grpc.health.v1";
  return file("grpc/health/v1/health.proto", "grpc.health.v1", {
    messageType: [
      { name: "HealthCheckRequest", field: [scalar("service", 1, Type.STRING)] },
      {
        name: "HealthCheckResponse",
        field: [{ ...scalar("status", 1, Type.ENUM), typeName: `${types}.HealthCheckResponse.ServingStatus` }],
        enumType: [
          {
            name: "ServingStatus",
            value: ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"].map((name, number) => ({ name, number })),
          },
        ],
      },
      { name: "HealthListRequest" },
      {
        name: "HealthListResponse",
        field: [repeated(message("statuses", 1, `${types}.HealthListResponse.StatusesEntry`))],
        nestedType: [mapEntry("StatusesEntry", message("value", 2, `${types}.HealthCheckResponse`))],
      },
    ],
    service: [
      {
        name: "Health",
        method: [
          { name: "Check", inputType: `${types}.HealthCheckRequest`, outputType: `${types}.HealthCheckResponse` },
          { name: "List", inputType: `${types}.HealthListRequest`, outputType: `${types}.HealthListResponse` },
          { name: "Watch", inputType: `${types}.HealthCheckRequest`, outputType: `${types}.HealthCheckResponse`, serverStreaming: true },
        ],
      },
    ],
  });
}

/** One version of the reflection service, encoded as a FileDescriptorProto. */
export function reflectionDescriptor(packageName: ReflectionPackage): Uint8Array {
  const types = `.${packageName}`;
  return file(`${packageName.replaceAll(".", "/")}/reflection.proto`, packageName, {
    messageType: [
      reflectionRequest(types),
      reflectionResponse(types),
      { name: "ExtensionRequest", field: [scalar("containing_type", 1, Type.STRING), scalar("extension_number", 2, Type.INT32)] },
      { name: "FileDescriptorResponse", field: [repeated(scalar("file_descriptor_proto", 1, Type.BYTES))] },
      {
        name: "ExtensionNumberResponse",
        field: [scalar("base_type_name", 1, Type.STRING), repeated(scalar("extension_number", 2, Type.INT32))],
      },
      { name: "ListServiceResponse", field: [repeated(message("service", 1, `${types}.ServiceResponse`))] },
      { name: "ServiceResponse", field: [scalar("name", 1, Type.STRING)] },
      { name: "ErrorResponse", field: [scalar("error_code", 1, Type.INT32), scalar("error_message", 2, Type.STRING)] },
    ],
    service: [
      {
        name: "ServerReflection",
        method: [
          {
            name: "ServerReflectionInfo",
            inputType: `${types}.ServerReflectionRequest`,
            outputType: `${types}.ServerReflectionResponse`,
            clientStreaming: true,
            serverStreaming: true,
          },
        ],
      },
    ],
  });
}

/**
 * The error details that this server sends, encoded as a FileDescriptorProto: with them, command line clients show reason and
 * metadata of an error in words. Needs google/protobuf/duration.proto beside it.
 */
export function errorDetailsDescriptor(): Uint8Array {
  const types = ".google.rpc";
  return file("google/rpc/error_details.proto", "google.rpc", {
    dependency: ["google/protobuf/duration.proto"],
    messageType: [
      {
        name: "ErrorInfo",
        field: [
          scalar("reason", 1, Type.STRING),
          scalar("domain", 2, Type.STRING),
          repeated(message("metadata", 3, `${types}.ErrorInfo.MetadataEntry`)),
        ],
        nestedType: [mapEntry("MetadataEntry", scalar("value", 2, Type.STRING))],
      },
      { name: "RetryInfo", field: [message("retry_delay", 1, ".google.protobuf.Duration")] },
    ],
  });
}

function reflectionRequest(types: string): MessageInit {
  return {
    name: "ServerReflectionRequest",
    oneofDecl: [{ name: "message_request" }],
    field: [
      scalar("host", 1, Type.STRING),
      choice(scalar("file_by_filename", 3, Type.STRING)),
      choice(scalar("file_containing_symbol", 4, Type.STRING)),
      choice(message("file_containing_extension", 5, `${types}.ExtensionRequest`)),
      choice(scalar("all_extension_numbers_of_type", 6, Type.STRING)),
      choice(scalar("list_services", 7, Type.STRING)),
    ],
  };
}

function reflectionResponse(types: string): MessageInit {
  return {
    name: "ServerReflectionResponse",
    oneofDecl: [{ name: "message_response" }],
    field: [
      scalar("valid_host", 1, Type.STRING),
      message("original_request", 2, `${types}.ServerReflectionRequest`),
      choice(message("file_descriptor_response", 4, `${types}.FileDescriptorResponse`)),
      choice(message("all_extension_numbers_response", 5, `${types}.ExtensionNumberResponse`)),
      choice(message("list_services_response", 6, `${types}.ListServiceResponse`)),
      choice(message("error_response", 7, `${types}.ErrorResponse`)),
    ],
  };
}

function file(name: string, packageName: string, content: FileInit): Uint8Array {
  return toBinary(FileDescriptorProtoSchema, create(FileDescriptorProtoSchema, { ...content, name, package: packageName, syntax: "proto3" }));
}

function scalar(name: string, number: number, type: Type): FieldInit {
  return { name, number, type, label: Label.OPTIONAL, jsonName: name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()) };
}

function message(name: string, number: number, typeName: string): FieldInit {
  return { ...scalar(name, number, Type.MESSAGE), typeName };
}

/** What a map field with text keys is made of. */
function mapEntry(name: string, value: FieldInit): MessageInit {
  return { name, field: [scalar("key", 1, Type.STRING), value], options: { mapEntry: true } };
}

function repeated(field: FieldInit): FieldInit {
  return { ...field, label: Label.REPEATED };
}

/** A member of the message's only oneof. */
function choice(field: FieldInit): FieldInit {
  return { ...field, oneofIndex: 0 };
}
