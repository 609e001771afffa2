import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { expect } from "chai";
import { Duration } from "../../../generated/google/protobuf/duration.js";
import { isPassing, TidemarkError } from "../../../src/client/tidemark-error.js";

function any(typeUrl: string, value: Uint8Array): Uint8Array {
  return new BinaryWriter().uint32(10).string(typeUrl).uint32(18).bytes(value).finish();
}

function errorInfo(reason: string, metadata: Record<string, string>): Uint8Array {
  const writer = new BinaryWriter().uint32(10).string(reason).uint32(18).string("tidemark.dev");
  for (const [key, value] of Object.entries(metadata)) {
    writer.uint32(26).bytes(new BinaryWriter().uint32(10).string(key).uint32(18).string(value).finish());
  }
  return any("type.googleapis.com/google.rpc.ErrorInfo", writer.finish());
}

function retryInfo(seconds: bigint, nanos: number): Uint8Array {
  const delay = Duration.encode({ seconds, nanos }).finish();
  return any("type.googleapis.com/google.rpc.RetryInfo", new BinaryWriter().uint32(10).bytes(delay).finish());
}

function failed(code: status, details: readonly Uint8Array[] | Buffer | undefined): ServiceError {
  const metadata = new Metadata();
  if (Buffer.isBuffer(details)) metadata.set("grpc-status-details-bin", details);
  else if (details !== undefined) {
    const writer = new BinaryWriter().uint32(8).int32(code).uint32(18).string("words");
    for (const detail of details) writer.uint32(26).bytes(detail);
    metadata.set("grpc-status-details-bin", Buffer.from(writer.finish()));
  }
  return Object.assign(new Error("words"), { code, details: "words", metadata });
}

describe("TidemarkError", () => {
  it("carries code, reason, metadata and delay of a refusal", () => {
    const details = [errorInfo("DISK_FULL", { free_bytes: "12", limit: "34" }), retryInfo(2n, 500_000_000)];
    const error = TidemarkError.fromCall(failed(status.UNAVAILABLE, details));
    expect(error).to.include({ code: "UNAVAILABLE", reason: "DISK_FULL", message: "words", retryAfterMs: 2_500 });
    expect(error.metadata).to.deep.equal({ free_bytes: "12", limit: "34" });
  });

  it("passes over details that it does not know, wherever they stand", () => {
    const help = any("type.googleapis.com/google.rpc.Help", new Uint8Array([10, 2, 8, 1]));
    const error = TidemarkError.fromCall(failed(status.NOT_FOUND, [help, errorInfo("QUEUE_NOT_FOUND", {}), help]));
    expect(error).to.include({ code: "NOT_FOUND", reason: "QUEUE_NOT_FOUND", retryAfterMs: undefined });
  });

  it("has an empty reason when the transport failed and not the broker", () => {
    expect(TidemarkError.fromCall(failed(status.UNAVAILABLE, undefined))).to.include({ code: "UNAVAILABLE", reason: "" });
  });

  it("keeps the code when the details are no protobuf", () => {
    const error = TidemarkError.fromCall(failed(status.INTERNAL, Buffer.from([0xff, 0xff, 0xff])));
    expect(error).to.include({ code: "INTERNAL", reason: "" });
    expect(error.metadata).to.have.property("undecodable_details");
  });

  it("knows what to try again", () => {
    const cases: [TidemarkError, boolean][] = [
      [new TidemarkError("UNAVAILABLE", "", "connection dropped"), true],
      [new TidemarkError("UNAVAILABLE", "DRAINING", "the broker stops", {}, 1_000), true],
      [new TidemarkError("INTERNAL", "", "stream reset"), true],
      [new TidemarkError("RESOURCE_EXHAUSTED", "SESSION_LIMIT", "too many", {}, 1_000), true],
      [new TidemarkError("ABORTED", "CLIENT_TIMEOUT", "silent"), true],
      [new TidemarkError("RESOURCE_EXHAUSTED", "SESSION_LIMIT", "too many"), false],
      [new TidemarkError("ABORTED", "DISCONNECTED", "by an operator"), false],
      [new TidemarkError("FAILED_PRECONDITION", "FILTER_MISMATCH", "other events"), false],
      [new TidemarkError("NOT_FOUND", "QUEUE_DELETED", "gone"), false],
      [new TidemarkError("INVALID_ARGUMENT", "", "bad"), false],
      [new TidemarkError("UNIMPLEMENTED", "", "no such method"), false],
    ];
    for (const [error, passing] of cases) expect(isPassing(error), `${error.code} ${error.reason}`).to.equal(passing);
  });
});
