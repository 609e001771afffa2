import { expect } from "chai";
import { formatListenAddress, isLoopback, parseListenAddress } from "../../../src/config/listen-address.js";
import { parseServeSettings, SettingsError } from "../../../src/config/serve-settings.js";

function refusal(input: Record<string, unknown>): SettingsError {
  try {
    parseServeSettings(input);
  } catch (error) {
    expect(error).to.be.instanceOf(SettingsError);
    return error as SettingsError;
  }
  throw new Error("the settings were accepted");
}

describe("listen addresses", () => {
  for (const [text, loopback] of [
    ["127.0.0.1:50051", true],
    ["127.9.8.7:1", true],
    ["localhost:50051", true],
    ["LOCALHOST:50051", true],
    ["[::1]:50051", true],
    ["[0:0:0:0:0:0:0:1]:50051", true],
    ["[::ffff:127.0.0.1]:50051", true],
    ["unix:/tmp/tidemark.sock", true],
    ["unix:tidemark.sock", true],
    ["0.0.0.0:50051", false],
    ["[::]:50051", false],
    ["192.168.1.4:50051", false],
    ["[fe80::1]:50051", false],
    ["[::ffff:10.0.0.1]:50051", false],
    ["[::1:1]:50051", false],
    ["[1::1]:50051", false],
    ["127.0.0.1.example.com:50051", false],
    ["localhost.example.com:50051", false],
    ["127.1:50051", false],
    ["127.0.0.999:50051", false],
  ] as const) {
    it(`${text} is ${loopback ? "" : "not "}of this machine alone`, () => {
      const address = parseListenAddress(text);
      if (address === undefined) throw new Error("it does not parse");
      expect(isLoopback(address)).to.equal(loopback);
      expect(formatListenAddress(address)).to.equal(text);
    });
  }

  for (const text of ["", "50051", ":50051", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "::1:50051", "[::1]", "unix:", "http://a:1"]) {
    it(`${JSON.stringify(text)} is none`, () => {
      expect(parseListenAddress(text)).to.equal(undefined);
    });
  }

  it("a Unix socket may be written as a URI", () => {
    expect(parseListenAddress("unix:///tmp/a.sock")).to.deep.equal({ kind: "unix", path: "/tmp/a.sock" });
  });
});

describe("settings of the server", () => {
  it("are the defaults when nothing is said", () => {
    expect(parseServeSettings({})).to.deep.equal({
      listen: { kind: "tcp", host: "127.0.0.1", port: 50_051 },
      metricsListen: undefined,
      dataDirectory: "./data",
      engine: "lmdb",
      insecureAllowRemote: false,
      logLevel: "info",
      autoCreateQueues: true,
      freeDiskBytesMin: 512 * 1024 * 1024,
      shutdownGraceMs: 5_000,
    });
  });

  it("are frozen", () => {
    expect(parseServeSettings({})).to.be.frozen;
  });

  it("refuse an address that others reach, unless that is asked for", () => {
    const error = refusal({ listen: "0.0.0.0:50051" });
    expect(error.setting).to.equal("listen");
    expect(error.message).to.contain("0.0.0.0:50051").and.contain("insecureAllowRemote");
    expect(parseServeSettings({ listen: "0.0.0.0:50051", insecureAllowRemote: true }).listen).to.include({ host: "0.0.0.0" });
    expect(parseServeSettings({ metricsListen: "0.0.0.0:9464", insecureAllowRemote: true }).metricsListen).to.include({ host: "0.0.0.0" });
  });

  for (const [setting, value, allowed] of [
    ["listen", "nonsense", "host:port"],
    ["listen", 50_051, "host:port"],
    ["metricsListen", "9464", "host:port"],
    ["metricsListen", "unix:metrics.sock", "or off"],
    ["metricsListen", false, "or off"],
    ["metricsListen", "0.0.0.0:9464", "a loopback address"],
    ["dataDirectory", "", "a path"],
    ["engine", "redis", "lmdb or memory"],
    ["insecureAllowRemote", "yes", "true or false"],
    ["logLevel", "loud", "info, warn, error or silent"],
    ["autoCreateQueues", 1, "true or false"],
    ["freeDiskBytesMin", -1, "from 0 to"],
    ["freeDiskBytesMin", 1.5, "a whole number"],
    ["shutdownGraceMs", 60_000, "from 0 to 8000"],
    ["shutdownGraceMs", "soon", "a whole number"],
  ] as const) {
    it(`refuse ${setting} ${JSON.stringify(value)}, saying what is allowed`, () => {
      const error = refusal({ [setting]: value });
      expect(error).to.include({ setting, value: JSON.stringify(value) });
      expect(error.allowed).to.contain(allowed);
      expect(error.message).to.contain(setting).and.contain(JSON.stringify(value));
    });
  }

  it("refuse what they do not know", () => {
    expect(refusal({ port: 1 }).message).to.contain("port").and.contain("listen");
  });
});
