import { connect } from "node:net";
import { status as Code } from "@grpc/grpc-js";
import { expect } from "chai";
import { startServer } from "../../src/main.js";
import { parseServeSettings } from "../../src/config/serve-settings.js";
import { until, within } from "../support/condition.js";
import { httpAnswer, parseScrape, valueOf } from "../support/prometheus-text.js";
import type { Scrape } from "../support/prometheus-text.js";
import { startTestServer } from "../support/server.js";
import type { TestServer } from "../support/server.js";
import { temporaryDataDir } from "../support/server-process.js";
import { payload } from "../support/stubs.js";

const DEADLINE_MS = 5_000;
const METRICS = { metricsListen: "127.0.0.1:0" };

function urlOf({ server }: TestServer): string {
  if (server.metricsUrl === undefined) throw new Error("the server has no metrics");
  return server.metricsUrl;
}

async function scrapeOf(server: TestServer): Promise<Scrape> {
  const { status, headers, body } = await httpAnswer(urlOf(server));
  expect(status).to.equal(200);
  expect(headers["content-type"]).to.equal("text/plain; version=0.0.4; charset=utf-8");
  return parseScrape(body);
}

async function failure(work: Promise<unknown>): Promise<Error> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
  throw new Error("it went through");
}

/** Scrapes until these series have these values. */
async function scrapesAs(server: TestServer, values: Readonly<Record<string, number>>): Promise<void> {
  let wrong = "";
  await until(`the metrics to be right`, DEADLINE_MS, async () => {
    const scrape = await scrapeOf(server);
    const differing = Object.entries(values).filter(([series, value]) => valueOf(scrape, series) !== value);
    wrong = differing.map(([series, value]) => `${series} is ${valueOf(scrape, series)}, not ${value}`).join("; ");
    return differing.length === 0;
  }).catch((error: unknown) => {
    throw new Error(wrong, { cause: error });
  });
}

describe("the metrics of a server", () => {
  let server: TestServer;

  afterEach(async () => {
    await server.close();
  });

  it("tell the life of messages, publishers and subscribers", async () => {
    server = await startTestServer(METRICS);
    const stubs = await server.connect();
    for (let i = 1; i <= 4; i++) await stubs.publish("orders", { event: "order.created", messageId: `m${i}`, body: payload("x") });
    await stubs.publish("orders", { event: "order.created", messageId: "m1", body: payload("x") });
    expect(await failure(stubs.publish("orders", { event: "bad event" }))).to.include({ code: Code.INVALID_ARGUMENT });
    const stream = stubs.subscribe({ queue: "orders", subscriber: "billing", maxBatchMessages: 10 });
    const [first, second, third] = await stream.receive(4);
    const run = ({ offset, batchId } = first!): { first: bigint; last: bigint; batchId: bigint } => ({ first: offset, last: offset, batchId });
    await stream.settle({
      acks: [run(first)],
      retries: [{ range: run(second), delay: { seconds: 3_600n, nanos: 0 }, reason: "" }],
      rejects: [{ range: run(third), reason: "broken" }],
    });
    await stream.settle({ releases: [run(first)] });
    const of = 'queue="orders",subscriber="billing"';
    await scrapesAs(server, {
      'tidemark_published_messages_total{queue="orders"}': 4,
      'tidemark_duplicate_messages_total{queue="orders"}': 1,
      'tidemark_publish_failures_total{reason="INVALID_FIELD"}': 1,
      'tidemark_queue_messages{queue="orders"}': 4,
      'tidemark_queue_head_offset{queue="orders"}': 4,
      'tidemark_queue_first_offset{queue="orders"}': 1,
      'tidemark_queue_subscribers{queue="orders"}': 1,
      'tidemark_queue_clients{queue="orders"}': 1,
      [`tidemark_deliveries_total{${of}}`]: 4,
      [`tidemark_verdicts_total{${of},verdict="ack"}`]: 1,
      [`tidemark_verdicts_total{${of},verdict="retry"}`]: 1,
      [`tidemark_verdicts_total{${of},verdict="reject"}`]: 1,
      [`tidemark_verdicts_total{${of},verdict="release"}`]: 0,
      [`tidemark_settle_failures_total{${of},code="ALREADY_SETTLED"}`]: 1,
      [`tidemark_dead_letters_total{${of},reason="REJECTED"}`]: 1,
      [`tidemark_subscriber_dead_letters{${of}}`]: 1,
      [`tidemark_subscriber_committed_offset{${of}}`]: 1,
      [`tidemark_subscriber_lag_offsets{${of}}`]: 3,
      [`tidemark_subscriber_backlog_messages{${of}}`]: 1,
      [`tidemark_subscriber_in_flight_messages{${of}}`]: 1,
      [`tidemark_subscriber_waiting_retry_messages{${of}}`]: 1,
      [`tidemark_subscriber_clients{${of}}`]: 1,
      'tidemark_rpc_requests_total{method="BrokerService/Publish",code="OK"}': 5,
      'tidemark_rpc_requests_total{method="BrokerService/Publish",code="INVALID_ARGUMENT"}': 1,
      'tidemark_rpc_seconds_count{method="BrokerService/Publish"}': 6,
      'tidemark_streams{method="BrokerService/Subscribe"}': 1,
      tidemark_sessions: 1,
      tidemark_queues: 1,
      tidemark_disk_has_room: 1,
    });
    const scrape = await scrapeOf(server);
    expect(valueOf(scrape, "tidemark_commit_seconds_count")).to.be.greaterThan(4);
    expect(valueOf(scrape, "tidemark_store_bytes")).to.be.greaterThan(0);
    expect(valueOf(scrape, "tidemark_disk_free_bytes")).to.be.greaterThan(0);

    await stream.cancel();
    const next = stubs.subscribe({ queue: "orders", subscriber: "billing" });
    await next.receive(1);
    expect((await next.halfClose()).code).to.equal(0);
    await scrapesAs(server, {
      [`tidemark_lost_leases_total{${of},cause="DISCONNECT"}`]: 1,
      [`tidemark_redeliveries_total{${of},cause="DISCONNECT"}`]: 1,
      [`tidemark_verdicts_total{${of},verdict="release"}`]: 1,
      [`tidemark_settle_failures_total{${of},code="NOT_HELD"}`]: 0,
      'tidemark_rpc_requests_total{method="BrokerService/Subscribe",code="CANCELLED"}': 1,
      'tidemark_rpc_requests_total{method="BrokerService/Subscribe",code="OK"}': 1,
      'tidemark_streams{method="BrokerService/Subscribe"}': 0,
      tidemark_sessions: 0,
    });
  });

  it("count what is trimmed, and forget a queue that is deleted", async () => {
    server = await startTestServer({ ...METRICS, engine: "memory" });
    const stubs = await server.connect();
    await stubs.publishBatch("orders", Array.from({ length: 5 }, () => ({ event: "order.created" })));
    const stream = stubs.subscribe({ queue: "orders", subscriber: "billing" });
    await stream.ack(await stream.receive(5));
    await scrapesAs(server, { 'tidemark_trimmed_messages_total{queue="orders"}': 5, 'tidemark_queue_messages{queue="orders"}': 0 });
    await new Promise((resolve) => stubs.admin.deleteQueue({ queue: "orders", queueId: "" }, resolve));
    expect(valueOf(await scrapeOf(server), 'tidemark_published_messages_total{queue="orders"}')).to.equal(undefined);
  });

  it("know queues that nobody has asked for since the server started", async () => {
    const data = await temporaryDataDir();
    const before = await startTestServer({ dataDirectory: data.path });
    const stubs = await before.connect();
    await stubs.publish("orders", { event: "order.created" });
    await stubs.subscribe({ queue: "orders", subscriber: "billing" }).next("opened");
    await before.close();
    server = await startTestServer({ ...METRICS, dataDirectory: data.path });
    await scrapesAs(server, { 'tidemark_queue_messages{queue="orders"}': 1, 'tidemark_subscriber_lag_offsets{queue="orders",subscriber="billing"}': 1 });
    await server.close();
    await data.remove();
  });

  it("are at /metrics alone, for GET and HEAD", async () => {
    server = await startTestServer({ ...METRICS, engine: "memory" });
    const url = urlOf(server);
    expect(await httpAnswer(url, "HEAD")).to.deep.include({ status: 200, body: "" });
    const elsewhere = await httpAnswer(new URL("/", url).href);
    expect(elsewhere).to.include({ status: 404 });
    expect(elsewhere.body).to.contain("/metrics");
    const posted = await httpAnswer(url, "POST");
    expect(posted.status).to.equal(405);
    expect(posted.headers["allow"]).to.equal("GET, HEAD");
    expect((await httpAnswer(`${url}?name[]=up`)).status).to.equal(200);
  });

  it("survive whoever speaks no HTTP, or far too much of it", async () => {
    server = await startTestServer({ ...METRICS, engine: "memory" });
    const port = Number(new URL(urlOf(server)).port);
    for (const said of ["\0\x01\x02 nonsense\r\n\r\n", `GET /metrics HTTP/1.1\r\nhost: a\r\nx: ${"x".repeat(20_000)}\r\n\r\n`]) {
      const socket = connect(port, "127.0.0.1", () => socket.write(said));
      let answer = "";
      socket.setEncoding("utf8").on("data", (text: string) => (answer += text));
      socket.on("error", () => undefined);
      await within("the connection closes", DEADLINE_MS, new Promise((resolve) => socket.on("close", resolve)));
      expect(answer).to.match(/^HTTP\/1\.1 4\d\d /);
    }
    expect((await httpAnswer(urlOf(server))).status).to.equal(200);
  });

  it("do not keep the server from stopping, and stop with it", async () => {
    server = await startTestServer({ ...METRICS, engine: "memory" });
    const url = urlOf(server);
    const socket = connect(Number(new URL(url).port), "127.0.0.1", () => socket.write("GET /metrics HTTP/1.1\r\n"));
    socket.on("error", () => undefined);
    await new Promise((resolve) => socket.on("connect", resolve));
    const closed = new Promise((resolve) => socket.on("close", resolve));
    await within("the server stops", DEADLINE_MS, server.server.stop());
    await within("the connection closes", DEADLINE_MS, closed);
    expect(await failure(httpAnswer(url))).to.include({ code: "ECONNREFUSED" });
  });

  it("are off unless asked for, so that two servers on one machine are no trouble", async () => {
    server = await startTestServer({ engine: "memory" });
    const other = await startTestServer({ engine: "memory" });
    expect([server.server.metricsUrl, other.server.metricsUrl]).to.deep.equal([undefined, undefined]);
    await other.close();
  });

  it("refuse a port that is taken before anything is served, saying so", async () => {
    server = await startTestServer({ ...METRICS, engine: "memory" });
    const { host } = new URL(urlOf(server));
    const settings = parseServeSettings({ listen: "127.0.0.1:0", engine: "memory", logLevel: "silent", metricsListen: host });
    expect((await failure(startServer(settings))).message).to.contain(host).and.contain("--metrics-listen");
    expect((await httpAnswer(urlOf(server))).status).to.equal(200);
  });
});
