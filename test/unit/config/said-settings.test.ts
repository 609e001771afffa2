import { expect } from "chai";
import { effectiveSettings, settingOfFlag, settingsInEnvironment, settingsInFile } from "../../../src/config/said-settings.js";
import { SettingsError } from "../../../src/config/serve-settings.js";
import { SETTING_NAMES, settingEntry } from "../../../src/config/setting-catalog.js";

describe("settings from several places", () => {
  const file = settingsInFile("server.json", '{"logLevel":"error","engine":"memory","shutdownGraceMs":1}');
  const environment = settingsInEnvironment({ TIDEMARK_LOG_LEVEL: "warn", TIDEMARK_SHUTDOWN_GRACE_MS: "2", PATH: "/bin" });
  const flags = [settingOfFlag("logLevel", "--log-level", "silent")];

  it("hold in the order flag, environment, file, default, and say where they come from", () => {
    const { settings, origins } = effectiveSettings([...flags, ...environment, ...file]);
    expect(settings).to.include({ logLevel: "silent", shutdownGraceMs: 2, engine: "memory", dataDirectory: "./data" });
    const said = Object.fromEntries(origins.map((origin) => [origin.name, origin]));
    expect(said["logLevel"]).to.include({ value: "silent", origin: "flag", said: "--log-level" });
    expect(said["shutdownGraceMs"]).to.include({ value: 2, origin: "environment", said: "TIDEMARK_SHUTDOWN_GRACE_MS in the environment" });
    expect(said["engine"]).to.include({ value: "memory", origin: "file", said: "engine in server.json" });
    expect(said["dataDirectory"]).to.include({ value: "./data", origin: "default" });
    expect(origins.map(({ name }) => name)).to.deep.equal(SETTING_NAMES);
  });

  it("may say in text whatever they are", () => {
    const said = settingsInEnvironment({ TIDEMARK_AUTO_CREATE_QUEUES: "false", TIDEMARK_FREE_DISK_BYTES_MIN: "0", TIDEMARK_LISTEN: "unix:a.sock" });
    expect(effectiveSettings(said).settings).to.deep.include({ autoCreateQueues: false, freeDiskBytesMin: 0, listen: { kind: "unix", path: "a.sock" } });
  });

  it("are not said by an empty variable, the address of the other commands, or what Kubernetes sets", () => {
    const environment = { TIDEMARK_LISTEN: "", TIDEMARK_ADDRESS: "a:1", TIDEMARK_CONFIG: "x", TIDEMARK_PORT: "tcp://10.0.0.1:1", TIDEMARK_PORT_1_TCP: "", TIDEMARK_SERVICE_HOST: "10.0.0.1" };
    expect(settingsInEnvironment(environment)).to.deep.equal([]);
  });

  const mistakes: readonly [what: string, say: () => unknown, message: RegExp][] = [
    ["an unknown variable", () => settingsInEnvironment({ TIDEMARK_LISTN: "a:1" }), /^TIDEMARK_LISTN in the environment is "a:1"; allowed: .*TIDEMARK_LISTEN/],
    ["an unknown key of the file", () => settingsInFile("s.json", '{"port":1}'), /^port in s\.json is 1; allowed: .*listen/],
    ["a key that every object has", () => settingsInFile("s.json", '{"__proto__":1}'), /^__proto__ in s\.json is 1;/],
    ["a file that is no JSON", () => settingsInFile("s.json", "listen: x"), /^s\.json is no JSON .*; allowed: one JSON object/],
    ["a file that is a list", () => settingsInFile("s.json", "[]"), /^s\.json is \[\]; allowed: one JSON object/],
    ["a bad value in the file", () => effectiveSettings(settingsInFile("s.json", '{"engine":null}')), /^engine in s\.json is null; allowed: lmdb or memory$/],
    ["a bad boolean in the environment", () => effectiveSettings(settingsInEnvironment({ TIDEMARK_AUTO_CREATE_QUEUES: "no" })), /^TIDEMARK_AUTO_CREATE_QUEUES in the environment is "no"; allowed: true or false$/],
    ["a bad number in a flag", () => effectiveSettings([settingOfFlag("freeDiskBytesMin", "--min-free-disk", "1k")]), /^--min-free-disk is "1k"; allowed: a whole number/],
    ["an address that others reach", () => effectiveSettings(settingsInEnvironment({ TIDEMARK_LISTEN: "0.0.0.0:1" })), /^TIDEMARK_LISTEN in the environment is "0\.0\.0\.0:1"; allowed: a loopback address/],
  ];
  for (const [what, say, message] of mistakes) {
    it(`refuse ${what}, naming it and its place`, () => {
      expect(say).to.throw(SettingsError, message);
    });
  }

  it("have names, flags and variables of their own", () => {
    for (const key of ["flag", "variable"] as const) expect(new Set(SETTING_NAMES.map((name) => settingEntry(name)[key])).size).to.equal(SETTING_NAMES.length);
    for (const name of SETTING_NAMES) expect(settingEntry(name).variable).to.equal(`TIDEMARK_${name.replace(/[A-Z]/g, "_$&").toUpperCase()}`);
  });
});
