import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { create, createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import type { FileRegistry } from "@bufbuild/protobuf";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { status as Code } from "@grpc/grpc-js";
import { expect } from "chai";
import { AdminServiceService } from "../../generated/tidemark/v1/admin_service.js";
import { BrokerServiceService } from "../../generated/tidemark/v1/broker_service.js";
import { until } from "../support/condition.js";
import { RawStream } from "../support/raw-calls.js";
import { startTestServer } from "../support/server.js";
import type { TestServer } from "../support/server.js";
import type { Stubs } from "../support/stubs.js";

const DEADLINE_MS = 5_000;
const BUF = fileURLToPath(new URL("../../node_modules/.bin/buf", import.meta.url));

const SERVICES = [
  "grpc.health.v1.Health",
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
  "tidemark.v1.AdminService",
  "tidemark.v1.BrokerService",
];

/** Field numbers of the questions in ServerReflectionRequest. */
const ASK = { fileByName: 3, fileBySymbol: 4, extensionNumbers: 6, services: 7 } as const;

/** Field numbers of the answers in ServerReflectionResponse. */
const ANSWER = { original: 2, files: 4, extensionNumbers: 5, services: 6, error: 7 } as const;

function question(kind: keyof typeof ASK, text: string): Uint8Array {
  return new BinaryWriter().uint32((ASK[kind] << 3) | 2).string(text).finish();
}

/** The length-delimited fields of a message by number, as often as they stand there. */
function fields(bytes: Uint8Array): Map<number, Uint8Array[]> {
  const found = new Map<number, Uint8Array[]>();
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (wireType === WireType.LengthDelimited) found.set(number, [...(found.get(number) ?? []), reader.bytes()]);
    else reader.skip(wireType, number);
  }
  return found;
}

describe("reflection", () => {
  let server: TestServer;
  let stubs: Stubs;

  before(async () => {
    server = await startTestServer({ engine: "memory" });
    stubs = await server.connect();
  });

  after(async () => {
    await server.close();
  });

  async function ask(version: string, ...questions: Uint8Array[]): Promise<Map<number, Uint8Array[]>[]> {
    const stream = new RawStream(stubs.broker, `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`);
    for (const each of questions) stream.write(each);
    await until("an answer for each question", DEADLINE_MS, () => stream.received.length === questions.length);
    expect((await stream.end().ended).code).to.equal(Code.OK);
    return stream.received.map(fields);
  }

  /** Builds the types from what was answered and nothing else, which fails when an import is missing. */
  function registryOf(answer: Map<number, Uint8Array[]> | undefined): FileRegistry {
    const [files] = answer?.get(ANSWER.files) ?? [];
    const file = (fields(files ?? new Uint8Array()).get(1) ?? []).map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
    return createFileRegistry(create(FileDescriptorSetSchema, { file: file.reverse() }));
  }

  const textIn = (bytes: Uint8Array | undefined, field: number): string => Buffer.from(fields(bytes ?? new Uint8Array()).get(field)?.[0] ?? []).toString();

  for (const version of ["v1", "v1alpha"]) {
    describe(version, () => {
      it("lists every service", async () => {
        const [answer] = await ask(version, question("services", "*"));
        const listed = fields(answer?.get(ANSWER.services)?.[0] ?? new Uint8Array()).get(1) ?? [];
        expect(listed.map((service) => textIn(service, 1))).to.deep.equal(SERVICES);
      });

      it("answers for each service files from which all of it can be built", async () => {
        const answers = await ask(version, ...SERVICES.map((name) => question("fileBySymbol", name)));
        const methods = new Map(SERVICES.map((name, i) => [name, registryOf(answers[i]).getService(name)?.methods.map((method) => method.name) ?? []]));
        const generated = (service: object): string[] => Object.values(service as Record<string, { path: string }>).map(({ path }) => path.split("/")[2] ?? "");
        expect(methods.get("tidemark.v1.BrokerService")).to.deep.equal(generated(BrokerServiceService));
        expect(methods.get("tidemark.v1.AdminService")).to.deep.equal(generated(AdminServiceService));
        expect(methods.get("grpc.health.v1.Health")).to.have.members(["Check", "List", "Watch"]);
        expect(methods.get(`grpc.reflection.${version}.ServerReflection`)).to.deep.equal(["ServerReflectionInfo"]);
      });
    });
  }

  it("finds messages, fields, methods, enums and their values", async () => {
    const symbols = [
      "tidemark.v1.OpenSession",
      "tidemark.v1.OpenSession.start_at",
      "tidemark.v1.NewMessage.HeadersEntry",
      "tidemark.v1.BrokerService.Subscribe",
      "tidemark.v1.AckMode",
      "tidemark.v1.ACK_MODE_AUTO",
      "google.protobuf.Duration",
      "google.rpc.ErrorInfo",
      "grpc.health.v1.HealthCheckResponse.ServingStatus",
    ];
    const answers = await ask("v1", ...symbols.map((symbol) => question("fileBySymbol", symbol)));
    expect(answers.map((answer) => answer.has(ANSWER.files))).to.deep.equal(symbols.map(() => true));
  });

  it("finds files by the names that imports use", async () => {
    const [answer] = await ask("v1", question("fileByName", "tidemark/v1/subscribe.proto"));
    expect(registryOf(answer).getMessage("tidemark.v1.SubscribeRequest")?.fields.map(({ name }) => name)).to.include("open");
  });

  it("says NOT_FOUND for what is not there, repeats the question, and goes on", async () => {
    const asked = question("fileBySymbol", "tidemark.v1.Nonsense");
    const answers = await ask("v1", asked, question("fileByName", "no.proto"), question("extensionNumbers", "no.Type"), question("services", ""));
    for (const answer of answers.slice(0, 3)) {
      const reader = new BinaryReader(answer.get(ANSWER.error)?.[0] ?? new Uint8Array());
      expect(reader.tag()[0]).to.equal(1);
      expect(reader.int32()).to.equal(Code.NOT_FOUND);
    }
    expect(Buffer.from(answers[0]?.get(ANSWER.original)?.[0] ?? []).equals(asked)).to.equal(true);
    expect(answers[3]?.has(ANSWER.services)).to.equal(true);
  });

  it("says that a message type has no extensions", async () => {
    const [answer] = await ask("v1", question("extensionNumbers", "tidemark.v1.Message"));
    expect(textIn(answer?.get(ANSWER.extensionNumbers)?.[0], 1)).to.equal("tidemark.v1.Message");
  });

  it("ends with INVALID_ARGUMENT on bytes that are no question", async () => {
    const stream = new RawStream(stubs.broker, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo").write(Buffer.from([0xff]));
    expect(await stream.ended).to.include({ code: Code.INVALID_ARGUMENT, reason: "UNDECODABLE" });
  });

  it("lets buf curl call without the .proto files", async () => {
    const call = (...args: string[]) => promisify(execFile)(BUF, ["curl", "--protocol", "grpc", "--http2-prior-knowledge", ...args]);
    const { stdout: methods } = await call("--list-methods", `http://${server.address}`);
    expect(methods.trim().split("\n")).to.include("tidemark.v1.BrokerService/Subscribe").and.include("grpc.health.v1.Health/Check");
    const { stdout: published } = await call("--data", '{"queue":"orders","message":{"event":"order.created","text":"1"}}', `http://${server.address}/tidemark.v1.BrokerService/Publish`);
    expect(JSON.parse(published)).to.include({ offset: "1", durability: "DURABILITY_MEMORY" });
  }).timeout(20_000);
});
