import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { status as Code } from "@grpc/grpc-js";
import { expect } from "chai";
import { BrokerError, ERROR_REASONS } from "../../../src/core/errors.js";
import type { ErrorReason } from "../../../src/core/errors.js";
import { asBrokerError, callStatus, codeNumber } from "../../../src/grpc/status.js";
import type { Journal } from "../../../src/ports/journal.js";
import { anyError } from "../../support/any-error.js";

/** A field: its number and its value, as protobuf's wire format has it. */
type Field = readonly [number, number | Uint8Array];

function fields(bytes: Uint8Array): Field[] {
  const reader = new BinaryReader(bytes);
  const found: Field[] = [];
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    found.push([number, wireType === WireType.Varint ? Number(reader.int64()) : reader.bytes()]);
  }
  return found;
}

const bytesOf = (message: readonly Field[], number: number): Uint8Array[] => message.flatMap(([n, v]) => (n === number && typeof v !== "number" ? [v] : []));
const textOf = (message: readonly Field[], number: number): string => Buffer.from(bytesOf(message, number)[0] ?? []).toString();
const numberOf = (message: readonly Field[], number: number): unknown => message.find(([n]) => n === number)?.[1];

function details(error: BrokerError): { status: Field[]; any: Map<string, Field[]> } {
  const [encoded] = callStatus(error).metadata.get("grpc-status-details-bin");
  expect(encoded).to.be.instanceOf(Buffer);
  const status = fields(encoded as Buffer);
  const any = new Map(bytesOf(status, 3).map((detail) => {
    const wrapped = fields(detail);
    return [textOf(wrapped, 1), fields(bytesOf(wrapped, 2)[0] ?? new Uint8Array())];
  }));
  return { status, any };
}

describe("the status of a failed call", () => {
  it("carries code, text and an ErrorInfo with reason, domain and metadata", () => {
    const error = new BrokerError("INVALID_FIELD", "queue is ä; allowed: less", { field: "queue", value: "ä" });
    expect(callStatus(error)).to.include({ code: Code.INVALID_ARGUMENT, details: error.message });
    const { status, any } = details(error);
    expect(numberOf(status, 1)).to.equal(Code.INVALID_ARGUMENT);
    expect(textOf(status, 2)).to.equal(error.message);
    const info = any.get("type.googleapis.com/google.rpc.ErrorInfo") ?? [];
    expect(textOf(info, 1)).to.equal("INVALID_FIELD");
    expect(textOf(info, 2)).to.equal("tidemark.v1");
    const metadata = bytesOf(info, 3).map(fields).map((entry) => [textOf(entry, 1), textOf(entry, 2)]);
    expect(metadata).to.deep.equal([["field", "queue"], ["value", "ä"]]);
  });

  it("has a RetryInfo exactly when the call may succeed later", () => {
    expect([...details(new BrokerError("INTERNAL", "x")).any.keys()]).to.deep.equal(["type.googleapis.com/google.rpc.ErrorInfo"]);
    for (const [ms, seconds, nanos] of [[0, 0, 0], [1_500, 1, 500_000_000], [1_999.9, 2, 0], [86_400_000, 86_400, 0]] as const) {
      const retry = details(new BrokerError("DISK_FULL", "x", {}, ms)).any.get("type.googleapis.com/google.rpc.RetryInfo") ?? [];
      const delay = fields(bytesOf(retry, 1)[0] ?? new Uint8Array());
      expect([numberOf(delay, 1), numberOf(delay, 2)]).to.deep.equal([seconds, nanos]);
    }
  });

  it("has the number of its code for every reason", () => {
    for (const reason of Object.keys(ERROR_REASONS) as ErrorReason[]) {
      const name = ERROR_REASONS[reason];
      expect(callStatus(anyError(reason)).code).to.equal(Code[name]).and.to.equal(codeNumber(name));
    }
  });

  it("tells a client nothing of an unexpected error, and the journal all of it", () => {
    const entries: unknown[] = [];
    const journal: Journal = {
      info: () => undefined,
      warn: () => undefined,
      error: (message, facts) => {
        entries.push({ message, ...facts });
      },
    };
    const cause = new Error("cannot open /var/lib/secret");
    const error = asBrokerError(cause, journal, "Publish");
    expect(error.reason).to.equal("INTERNAL");
    expect(error.message).not.to.contain("/var");
    expect(entries).to.deep.equal([{ message: "unexpected error", where: "Publish", error: cause }]);
    const known = new BrokerError("HALTED", "x");
    expect(asBrokerError(known, journal, "Publish")).to.equal(known);
    expect(entries).to.have.length(1);
  });
});
