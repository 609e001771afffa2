import { expect } from "chai";
import { CommandFailure, reportOf, UsageError } from "../../../src/cli/failure.js";
import { ReaderGone } from "../../../src/cli/output.js";
import { TidemarkError } from "../../../src/client/index.js";

describe("failure report", () => {
  it("tells how to start a broker when there is none", () => {
    const { exitCode, line } = reportOf(new TidemarkError("UNAVAILABLE", "NOT_CONNECTED", "no broker answers at 127.0.0.1:1"));
    expect(exitCode).to.equal(1);
    expect(line).to.equal('no broker answers at 127.0.0.1:1; start one with "tidemark serve", or name another with --address host:port');
  });

  it("names the reason that the broker gave", () => {
    expect(reportOf(new TidemarkError("INVALID_ARGUMENT", "INVALID_FIELD", "queue is bad"))).to.deep.equal({ exitCode: 1, line: "queue is bad (INVALID_FIELD)" });
    expect(reportOf(new TidemarkError("INTERNAL", "", "reset")).line).to.equal("reset (INTERNAL)");
  });

  it("tells another gRPC server from a broker", () => {
    expect(reportOf(new TidemarkError("UNIMPLEMENTED", "", "unknown service")).line).to.match(/^unknown service; what answers there is no Tidemark broker/);
    expect(reportOf(new TidemarkError("UNIMPLEMENTED", "NOT_BUILT_YET", "later")).line).to.equal("later (NOT_BUILT_YET)");
  });

  it("says what to change when a subscriber exists with another filter or start", () => {
    expect(reportOf(new TidemarkError("FAILED_PRECONDITION", "FILTER_MISMATCH", "other events")).line).to.match(/another --subscriber$/);
    expect(reportOf(new TidemarkError("FAILED_PRECONDITION", "START_MISMATCH", "other start")).line).to.match(/leave --from out/);
  });

  it("tells misuse from failure by the exit code, and takes a gone reader for neither", () => {
    expect(reportOf(new UsageError("twice")).exitCode).to.equal(2);
    expect(reportOf(new CommandFailure("unreadable")).exitCode).to.equal(1);
    expect(reportOf(new ReaderGone())).to.deep.equal({ exitCode: 0, line: undefined });
  });

  it("keeps the stack of an error that nobody foresaw", () => {
    expect(reportOf(new TypeError("a bug")).line).to.match(/TypeError: a bug\n\s+at /);
  });
});
