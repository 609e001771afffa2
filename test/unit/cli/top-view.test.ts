import { expect } from "chai";
import { timeOfDay } from "../../../src/cli/quantity.js";
import type { QueueRow, Sample, SubscriberRow } from "../../../src/cli/top-sample.js";
import { type Departure, topJson, topLines, topScreen, type TopState } from "../../../src/cli/top-view.js";
import { clientInfo } from "../../support/client-infos.js";

const NOW = new Date(Date.UTC(2026, 0, 10, 12));
const plain = (_tone: string, text: string): string => text;

function queue(name: string, parts: Partial<QueueRow> = {}): QueueRow {
  return {
    ...{ name, queueId: name, ordering: "UNORDERED", createTime: NOW, headOffset: 5, firstOffset: 1, messageCount: 5, bytes: 2_048, subscriberCount: 1, clientCount: 1, scheduledCount: 0, deadLetterCount: 0 },
    ...{ lastPublishTime: NOW, durability: "FSYNC", settings: {}, inPerSecond: 0, slowestBacklog: 0 },
    ...parts,
  };
}

function subscriber(name: string, parts: Partial<SubscriberRow> = {}): SubscriberRow {
  return {
    ...{ queue: "orders", name, events: [], createTime: NOW, committedOffset: 5, backlogCount: 0, inFlightCount: 0, waitingRetryCount: 0, expiredCount: 0, deadLetterCount: 0, clientCount: 1 },
    ...{ blockedLaneCount: 0, droppedCount: 0, settings: {}, effectiveSettings: {}, paused: false, resumeTime: undefined, oldestUnsettledTime: undefined, lastClientTime: undefined, expireTime: undefined, settledPerSecond: undefined },
    ...parts,
  };
}

function sample(parts: Partial<Sample> = {}): Sample {
  const server = { version: "1.2.3", engine: "lmdb", durability: "FSYNC", capabilities: [], startTime: new Date(NOW.getTime() - 185_000) };
  return { time: NOW, server, queues: [], subscribers: [], clients: [], isCut: false, ...parts };
}

function state(parts: Partial<TopState> = {}): TopState {
  return { address: "127.0.0.1:50051", now: NOW, sample: sample(), trouble: undefined, departures: [], order: "trouble", scrolled: 0, ...parts };
}

const many = sample({ queues: Array.from({ length: 30 }, (_, i) => queue(`q${String(i).padStart(2, "0")}`, { slowestBacklog: i })) });
/** First words of the lines, without those of the head and the foot. */
const firstWords = (lines: readonly string[]): string[] => lines.slice(2, -1).map((line) => line.split(" ")[0] ?? "");

describe("the screen of top", () => {
  it("says in two lines what runs, how long, and how much goes in", () => {
    const [first, second] = topScreen(state({ sample: sample({ queues: [queue("a", { inPerSecond: 1_200.4 }), queue("b", { inPerSecond: 0.5 })], clients: [clientInfo()] }) }), 120, 20, plain).lines;
    expect(first).to.equal(`tidemark 1.2.3 · lmdb, fsync · up 3m 5s · 127.0.0.1:50051 · ${timeOfDay(NOW)}`);
    expect(second).to.equal("2 queues · 0 subscribers · 1 client · 1,201 messages in/s");
  });

  it("fills exactly the rows that there are, the keys in the last one", () => {
    for (const rows of [8, 24, 60]) {
      const { lines } = topScreen(state(), 80, rows, plain);
      expect(lines).to.have.length(rows);
      expect(lines.at(-1)).to.match(/^q quit · s order: what hurts first/);
    }
    expect(topScreen(state(), 80, 2, plain).lines).to.have.length(2);
  });

  it("cuts every line at the columns that there are, and leaves no colour switched on", () => {
    const painted = (_tone: string, text: string): string => `\u001b[31m${text}\u001b[39m`;
    const { lines } = topScreen(state({ sample: many }), 20, 24, painted);
    for (const line of lines) {
      expect(line.replaceAll(/\u001b\[\d+m/g, "").length, line).to.be.at.most(20);
      expect(line.split("\u001b[31m").length, line).to.equal(line.split("\u001b[39m").length);
    }
  });

  it("puts what hurts first: backlog, then retries and dead letters; or goes by name", () => {
    const subscribers = [subscriber("calm"), subscriber("dead", { deadLetterCount: 2 }), subscriber("late", { backlogCount: 10 }), subscriber("retry", { waitingRetryCount: 1 }), subscriber("worst", { backlogCount: 900 })];
    const names = (order: TopState["order"]): string[] =>
      firstWords(topScreen(state({ sample: sample({ subscribers }), order }), 120, 20, plain).lines).filter((word) => subscribers.some(({ name }) => name === word));
    expect(names("trouble")).to.deep.equal(["worst", "late", "retry", "dead", "calm"]);
    expect(names("name")).to.deep.equal(["calm", "dead", "late", "retry", "worst"]);
  });

  it("scrolls what does not fit, no further than to its end, and says where it is", () => {
    const at = (scrolled: number): ReturnType<typeof topScreen> => topScreen(state({ sample: many, scrolled }), 120, 13, plain);
    expect(firstWords(at(0).lines).slice(0, 3)).to.deep.equal(["", "QUEUE", "q29"]);
    expect(firstWords(at(5).lines)[0]).to.equal("q26");
    const { lines, scrolledMax } = at(1_000);
    expect(scrolledMax).to.equal(36 - 10);
    expect(lines).to.deep.equal(at(scrolledMax).lines);
    expect(lines.at(-1)).to.match(/↑↓ scroll, lines 27 to 36 of 36$/);
    expect(topScreen(state(), 120, 40, plain)).to.have.property("scrolledMax", 0);
  });

  it("keeps what was there when the broker is gone, and says since when and why", () => {
    const trouble = { since: NOW, text: "no broker answers at 127.0.0.1:50051" };
    const { lines } = topScreen(state({ sample: many, trouble }), 120, 20, plain);
    expect(lines[1]).to.equal(`no answer since ${timeOfDay(NOW)}: no broker answers at 127.0.0.1:50051; trying again`);
    expect(firstWords(lines)).to.include("q29");
  });

  it("tells who left, why, and what was in flight", () => {
    const departures: Departure[] = [{ type: "left", client: clientInfo(), reason: "CONNECTION_LOST", detail: "", time: NOW }];
    expect(topLines(state({ departures }), plain).at(-1)).to.equal(`${timeOfDay(NOW)}  worker-1  orders/billing  connection lost, with 3 messages in flight`);
  });

  it("says that there is more than it asked for", () => {
    expect(topScreen(state({ sample: sample({ isCut: true }) }), 120, 20, plain).lines[1]).to.match(/there is more, --queue shows one queue alone$/);
  });

  it("shows rates, with a digit behind the point where they are small, and a hyphen where there is none yet", () => {
    const rates = [undefined, 0, 0.25, 9.96, 12.5, 12_345].map((inPerSecond, i) => queue(`q${i}`, { inPerSecond }));
    const shown = topLines(state({ sample: sample({ queues: rates }), order: "name" }), plain)
      .filter((line) => line.startsWith("q"))
      .map((line) => line.split(/ +/)[4]);
    expect(shown).to.deep.equal(["-", "0", "0.3", "10.0", "13", "12,345"]);
  });
});

describe("a sample for programs", () => {
  it("has everything by name, and rates only where there are any", () => {
    const json = topJson(sample({ queues: [queue("orders", { inPerSecond: 1 / 3, slowestBacklog: undefined })], subscribers: [subscriber("billing", { settledPerSecond: 2 }), subscriber("new")], clients: [clientInfo()] }));
    expect(json).to.have.nested.property("server.version", "1.2.3");
    expect(json).to.have.nested.property("queues[0]").that.includes({ name: "orders", in_per_second: 0.33, message_count: 5 }).and.not.have.property("slowest_backlog_count");
    expect(json).to.have.nested.property("subscribers[0].settled_per_second", 2);
    expect(json).to.have.nested.property("subscribers[1]").that.does.not.have.property("settled_per_second");
    expect(json).to.have.nested.property("clients[0].client_id", "worker-1");
    expect(json).to.include({ is_cut: false, time: NOW.toISOString() });
  });
});
