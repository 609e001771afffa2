import { parseServeSettings } from "../../src/config/serve-settings.js";
import type { ServeSettingsInput } from "../../src/config/serve-settings.js";
import { startServer } from "../../src/main.js";
import type { RunningServer } from "../../src/main.js";
import { temporaryDataDir } from "./server-process.js";
import { Stubs } from "./stubs.js";

/** A real server in this process, on a free port of the loopback, with a data directory of its own. */
export interface TestServer {
  readonly server: RunningServer;
  readonly address: string;
  /** Generated stubs on a connection of their own; closed with the server. */
  connect(): Promise<Stubs>;
  /** Stops the server, closes the connections, removes the data. */
  close(): Promise<void>;
}

/** Starts a server; say only the settings that matter to the test. A server that is to be killed is a ServerProcess. */
export async function startTestServer(settings: ServeSettingsInput = {}): Promise<TestServer> {
  const data = await temporaryDataDir();
  const server = await startServer(
    parseServeSettings({ listen: "127.0.0.1:0", dataDirectory: data.path, logLevel: "silent", shutdownGraceMs: 0, freeDiskBytesMin: 0, ...settings }),
  );
  const connections: Stubs[] = [];
  return {
    server,
    address: server.address,
    async connect() {
      const stubs = new Stubs(server.address);
      connections.push(stubs);
      await stubs.ready();
      return stubs;
    },
    async close() {
      for (const stubs of connections) stubs.close();
      await server.stop();
      await data.remove();
    },
  };
}
