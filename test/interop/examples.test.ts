import { execFile } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "chai";
import { startTestServer, type TestServer } from "../support/server.js";
import { GRPCURL, needTool, PYTHON, PythonClient } from "./foreign-client.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const run = promisify(execFile);

describe("the examples for other languages", () => {
  const python = new PythonClient();
  let server: TestServer;

  beforeEach(async () => {
    server = await startTestServer();
  });

  afterEach(() => server.close());
  after(() => python.dispose());

  const settled = async (subscriber: string): Promise<object> => (await server.connect()).subscriber("orders", subscriber);

  it("python publishes, receives what it published, acks it and ends", async () => {
    const env = { ...process.env, PYTHONPATH: python.generate(), TIDEMARK_ADDRESS: server.address };
    const { stdout } = await run(PYTHON, ["examples/python/main.py"], { cwd: ROOT, env, timeout: 60_000 });
    expect(stdout).to.equal('published at offset 1\nreceived #1 order.created {"id":42}\n');
    expect(await settled("python")).to.include({ committedOffset: 1n, inFlightCount: 0n });
  });

  it("grpcurl publishes, and receives in both ways of acknowledging", async () => {
    needTool(GRPCURL);
    const env = { ...process.env, PATH: `${dirname(GRPCURL)}:${process.env.PATH ?? ""}` };
    const { stdout } = await run("sh", ["examples/grpcurl/publish-and-subscribe.sh", server.address], { cwd: ROOT, env, timeout: 60_000 });
    expect(stdout.match(/"text": "\{\\"id\\":42\}"/g)).to.have.length(2);
    expect(stdout).to.include("CAUGHT_UP").and.include('"requestIds"');
    expect(await settled("grpcurl")).to.include({ committedOffset: 1n, inFlightCount: 0n });
  });
});
