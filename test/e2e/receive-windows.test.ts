import { connect } from "node:http2";
import type { ClientHttp2Session, Settings } from "node:http2";
import { expect } from "chai";
import { LIMITS } from "../../src/core/limits.js";
import { until } from "../support/condition.js";
import { startTestServer } from "../support/server.js";
import type { TestServer } from "../support/server.js";

const DEADLINE_MS = 5_000;

describe("receive windows", () => {
  let server: TestServer;
  let session: ClientHttp2Session;

  beforeEach(async () => {
    server = await startTestServer();
    session = connect(`http://${server.address}`);
  });

  afterEach(async () => {
    session.destroy();
    await server.close();
  });

  it("let a publisher send a megabyte on a stream, and more on a connection, before the server has read it", async () => {
    const settings = await new Promise<Settings>((resolve) => session.once("remoteSettings", resolve));
    expect(settings.initialWindowSize).to.equal(LIMITS.streamWindowBytes);
    expect(settings.maxConcurrentStreams, "the other settings stay").to.equal(1_000);
    await until("the window of the connection grows", DEADLINE_MS, () => session.state.remoteWindowSize === LIMITS.connectionWindowBytes);
  });
});
