import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "chai";
import { startTestServer, type TestServer } from "../support/server.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const run = promisify(execFile);

describe("the examples for Node", function () {
  this.timeout(30_000);
  let server: TestServer;

  before(async () => {
    server = await startTestServer();
  });

  after(() => server.close());

  const examples: [string, string[]][] = [
    ["tidemark-client", ["examples/tidemark-client/main.mjs"]],
    ["node-proto-loader", ["examples/node-proto-loader/main.mjs"]],
    ["node-stub", ["--import=tsx", "examples/node-stub/main.ts"]],
  ];
  for (const [name, args] of examples) {
    it(`${name} publishes, receives what it published, acks it and ends`, async () => {
      const { stdout, stderr } = await run(process.execPath, [...args, server.address], { cwd: ROOT, timeout: 25_000 });
      const offset = /^published at offset (\d+)$/m.exec(stdout)?.[1];
      expect(stdout).to.match(new RegExp(`^received #${offset} order.created {"id":42}$`, "m"));
      expect(stderr).to.equal("");
      const stubs = await server.connect();
      expect(await stubs.subscriber("orders", name)).to.include({ committedOffset: BigInt(offset ?? 0), inFlightCount: 0n });
    });
  }
});
