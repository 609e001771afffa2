import { expect } from "chai";
import { summarize } from "./history.js";
import type { HistoryEvent } from "./history.js";
import { checkHistory } from "./history-checker.js";
import { filterTakes } from "./history-index.js";

/** One queue, two subscribers, a kill, a duplicate, a retry and a redelivery: everything as it should be. */
function soundHistory(): HistoryEvent[] {
  return [
    { type: "open_sent", subscriber: "all", session: "a1", events: [] },
    { type: "opened", session: "a1", committedOffset: 0 },
    { type: "open_sent", subscriber: "orders", session: "o1", events: ["order.*"] },
    { type: "opened", session: "o1", committedOffset: 0 },
    { type: "publish_sent", key: "m1", event: "order.created", messageId: "id-1" },
    { type: "publish_answered", key: "m1", offset: 1, duplicate: false },
    { type: "publish_sent", key: "m2", event: "mail.sent", messageId: "" },
    { type: "publish_answered", key: "m2", offset: 2, duplicate: false },
    { type: "delivered", session: "a1", offset: 1, key: "m1", event: "order.created", attempt: 1, deliveryCount: 1 },
    { type: "delivered", session: "a1", offset: 2, key: "m2", event: "mail.sent", attempt: 1, deliveryCount: 1 },
    { type: "delivered", session: "o1", offset: 1, key: "m1", event: "order.created", attempt: 1, deliveryCount: 1 },
    { type: "settle_sent", session: "a1", requestId: 1, verdict: "ack", offsets: [1] },
    { type: "settle_confirmed", session: "a1", requestId: 1, failed: [] },
    { type: "committed_seen", session: "a1", committedOffset: 1 },
    { type: "settle_sent", session: "o1", requestId: 1, verdict: "retry", offsets: [1] },
    { type: "settle_confirmed", session: "o1", requestId: 1, failed: [] },
    { type: "delivered", session: "o1", offset: 1, key: "m1", event: "order.created", attempt: 2, deliveryCount: 1 },
    { type: "session_ended", session: "o1", graceful: false },
    { type: "open_sent", subscriber: "orders", session: "o2", events: ["order.*"] },
    { type: "opened", session: "o2", committedOffset: 0 },
    { type: "delivered", session: "o2", offset: 1, key: "m1", event: "order.created", attempt: 2, deliveryCount: 2 },
    { type: "publish_sent", key: "m3", event: "order.paid", messageId: "id-3" },
    { type: "server_killed", unanswered: 1 },
    { type: "publish_unknown", key: "m3" },
    { type: "publish_sent", key: "m3", event: "order.paid", messageId: "id-3" },
    { type: "publish_answered", key: "m3", offset: 3, duplicate: true },
    { type: "publish_sent", key: "m4", event: "order.paid", messageId: "" },
    { type: "publish_refused", key: "m4", reason: "INVALID_FIELD" },
    { type: "open_sent", subscriber: "all", session: "a2", events: [] },
    { type: "opened", session: "a2", committedOffset: 1 },
    { type: "delivered", session: "a2", offset: 2, key: "m2", event: "mail.sent", attempt: 1, deliveryCount: 1 },
    { type: "delivered", session: "a2", offset: 3, key: "m3", event: "order.paid", attempt: 1, deliveryCount: 1 },
    { type: "settle_sent", session: "a2", requestId: 1, verdict: "ack", offsets: [2, 3] },
    { type: "settle_confirmed", session: "a2", requestId: 1, failed: [] },
    { type: "committed_seen", session: "a2", committedOffset: 3 },
    { type: "open_sent", subscriber: "orders", session: "o3", events: ["order.*"] },
    { type: "opened", session: "o3", committedOffset: 0 },
    { type: "delivered", session: "o3", offset: 1, key: "m1", event: "order.created", attempt: 2, deliveryCount: 2 },
    { type: "delivered", session: "o3", offset: 3, key: "m3", event: "order.paid", attempt: 1, deliveryCount: 1 },
    { type: "settle_sent", session: "o3", requestId: 1, verdict: "ack", offsets: [1, 3] },
    { type: "settle_confirmed", session: "o3", requestId: 1, failed: [] },
    { type: "committed_seen", session: "o3", committedOffset: 3 },
  ];
}

type Change = (history: HistoryEvent[]) => HistoryEvent[];

/** Puts events in after the first one that fits. */
function after(fits: Partial<Record<string, unknown>>, ...added: HistoryEvent[]): Change {
  return (history) => history.toSpliced(place(history, fits) + 1, 0, ...added);
}

function without(fits: Partial<Record<string, unknown>>): Change {
  return (history) => history.toSpliced(place(history, fits), 1);
}

/** Changes fields of the first event that fits. */
function change(fits: Partial<Record<string, unknown>>, fields: Partial<Record<string, unknown>>): Change {
  return (history) => {
    const at = place(history, fits);
    return history.with(at, { ...history[at], ...fields } as HistoryEvent);
  };
}

function place(history: readonly HistoryEvent[], fits: Partial<Record<string, unknown>>): number {
  const at = history.findIndex((event) => Object.entries(fits).every(([name, value]) => (event as unknown as Record<string, unknown>)[name] === value));
  if (at === -1) throw new Error(`no event fits ${JSON.stringify(fits)}`);
  return at;
}

const lastAll = { type: "settle_confirmed", session: "a2" };

const planted: readonly { readonly invariant: string; readonly title: string; readonly change: Change }[] = [
  { invariant: "I1", title: "an answered message that never reaches a subscriber", change: without({ type: "delivered", session: "a2", offset: 3 }) },
  { invariant: "I2", title: "a message that nobody sent", change: after(lastAll, { type: "delivered", session: "a2", offset: 4, key: "ghost", event: "order.paid", attempt: 1, deliveryCount: 1 }) },
  { invariant: "I2", title: "a refused message that appears", change: after(lastAll, { type: "delivered", session: "a2", offset: 4, key: "m4", event: "order.paid", attempt: 1, deliveryCount: 1 }) },
  { invariant: "I2", title: "a message without an id that is stored twice", change: after(lastAll, { type: "delivered", session: "a2", offset: 4, key: "m2", event: "mail.sent", attempt: 1, deliveryCount: 1 }) },
  { invariant: "I2", title: "a message whose event changed on the way", change: change({ type: "delivered", session: "a1", offset: 2 }, { event: "mail.lost" }) },
  { invariant: "I2", title: "a message that the subscriber's filter does not take", change: after({ type: "opened", session: "o3" }, { type: "delivered", session: "o3", offset: 2, key: "m2", event: "mail.sent", attempt: 1, deliveryCount: 1 }) },
  { invariant: "I3", title: "a message that comes again after its ack was confirmed", change: after({ type: "opened", session: "a2" }, { type: "delivered", session: "a2", offset: 1, key: "m1", event: "order.created", attempt: 1, deliveryCount: 2 }) },
  { invariant: "I3", title: "a message that comes again after its reject was confirmed", change: (history) => after({ type: "opened", session: "a2" }, { type: "delivered", session: "a2", offset: 1, key: "m1", event: "order.created", attempt: 1, deliveryCount: 2 })(change({ type: "settle_sent", session: "a1" }, { verdict: "reject" })(history)) },
  { invariant: "I4", title: "a committed offset that passes a message which nobody settled", change: change({ type: "opened", session: "o2" }, { committedOffset: 1 }) },
  { invariant: "I4", title: "a message that is left unsettled at the end", change: change({ type: "settle_sent", session: "a2" }, { offsets: [2] }) },
  { invariant: "I4", title: "a delivery count that falls", change: change({ type: "delivered", session: "o3", offset: 1 }, { deliveryCount: 1 }) },
  { invariant: "I4", title: "an attempt that falls", change: change({ type: "delivered", session: "o3", offset: 1 }, { attempt: 1 }) },
  { invariant: "I4", title: "a disconnect that is not counted", change: change({ type: "delivered", session: "o2", offset: 1 }, { deliveryCount: 1 }) },
  { invariant: "I4", title: "a retry that is not counted", change: change({ type: "delivered", session: "o1", attempt: 2 }, { attempt: 1 }) },
  { invariant: "I4", title: "an attempt that nobody asked for", change: change({ type: "delivered", session: "a2", offset: 3 }, { attempt: 2 }) },
  { invariant: "I4", title: "a delivery count beyond all hand-outs", change: change({ type: "delivered", session: "o3", offset: 3 }, { deliveryCount: 7 }) },
  { invariant: "I4", title: "an answer to a settle that was never sent", change: after(lastAll, { type: "settle_confirmed", session: "a2", requestId: 9, failed: [] }) },
  { invariant: "I6", title: "one offset for two messages", change: change({ type: "delivered", session: "a2", offset: 3 }, { offset: 2 }) },
  { invariant: "I6", title: "an offset used again after a crash", change: change({ type: "publish_answered", key: "m3" }, { offset: 2 }) },
  { invariant: "I6", title: "an offset below one that was known before", change: after(lastAll, { type: "publish_sent", key: "m5", event: "log.line", messageId: "" }, { type: "publish_answered", key: "m5", offset: 2.5, duplicate: false }) },
  { invariant: "I6", title: "an answer that names another place than where the message lies", change: change({ type: "publish_answered", key: "m2" }, { offset: 9 }) },
  { invariant: "I7", title: "a committed offset that goes back across a restart", change: change({ type: "opened", session: "a2" }, { committedOffset: 0 }) },
  { invariant: "I7", title: "a committed offset that goes back inside a session", change: after({ type: "committed_seen", session: "a2" }, { type: "committed_seen", session: "a2", committedOffset: 2 }) },
  { invariant: "I8", title: "one message id at two offsets", change: change({ type: "delivered", session: "o3", offset: 3 }, { offset: 4 }) },
  { invariant: "I8", title: "a retry of an answered id that is taken for new", change: after(lastAll, { type: "publish_sent", key: "m1", event: "order.created", messageId: "id-1" }, { type: "publish_answered", key: "m1", offset: 1, duplicate: false }) },
];

/** An ordered queue: a lane x that is retried and recalled at depth 2, a lane y beside it, and another client at depth 1. */
function soundLanes(): HistoryEvent[] {
  const published = ["x", "y", "x", "x", "y"].flatMap((lane, i): HistoryEvent[] => [
    { type: "publish_sent", key: `m${i + 1}`, event: "a", messageId: "", lane },
    { type: "publish_answered", key: `m${i + 1}`, offset: i + 1, duplicate: false },
  ]);
  return [
    { type: "open_sent", subscriber: "all", session: "s1", events: [], laneDepth: 2 },
    { type: "opened", session: "s1", committedOffset: 0 },
    ...published,
    handOut("s1", 1),
    handOut("s1", 2),
    handOut("s1", 3),
    { type: "settle_sent", session: "s1", requestId: 1, verdict: "ack", offsets: [3] },
    { type: "settle_sent", session: "s1", requestId: 2, verdict: "retry", offsets: [1] },
    { type: "recalled", session: "s1", offsets: [3] },
    { type: "settle_confirmed", session: "s1", requestId: 1, failed: [3] },
    { type: "settle_confirmed", session: "s1", requestId: 2, failed: [] },
    handOut("s1", 1, 2),
    handOut("s1", 3),
    { type: "settle_sent", session: "s1", requestId: 3, verdict: "ack", offsets: [1, 2] },
    { type: "settle_confirmed", session: "s1", requestId: 3, failed: [] },
    { type: "session_ended", session: "s1", graceful: true },
    { type: "open_sent", subscriber: "all", session: "s2", events: [], laneDepth: 1 },
    { type: "opened", session: "s2", committedOffset: 2 },
    handOut("s2", 3),
    handOut("s2", 5),
    { type: "settle_sent", session: "s2", requestId: 1, verdict: "ack", offsets: [3] },
    { type: "settle_confirmed", session: "s2", requestId: 1, failed: [] },
    handOut("s2", 4),
    { type: "settle_sent", session: "s2", requestId: 2, verdict: "ack", offsets: [4, 5] },
    { type: "settle_confirmed", session: "s2", requestId: 2, failed: [] },
  ];
}

function handOut(session: string, offset: number, attempt = 1): HistoryEvent {
  return { type: "delivered", session, offset, key: `m${offset}`, event: "a", attempt, deliveryCount: 1 };
}

function both(first: Change, second: Change): Change {
  return (history) => second(first(history));
}

const plantedInLanes: readonly { readonly title: string; readonly says: string; readonly change: Change }[] = [
  { title: "a message that is handed out before the one before it is settled", says: "before 3 of the same lane", change: both(without({ type: "delivered", session: "s2", offset: 4 }), after({ type: "delivered", session: "s2", offset: 3 }, handOut("s2", 4))) },
  { title: "a message that is handed out before one that never was", says: "which was never handed out", change: without({ type: "delivered", session: "s1", offset: 1 }) },
  { title: "a lane that goes on while its first message waits for its retry", says: "before 1 of the same lane", change: both(without({ type: "delivered", session: "s1", attempt: 2 }), without({ type: "settle_sent", session: "s1", requestId: 3 })) },
  { title: "more of a lane in flight than its depth", says: "its depth is 2", change: after({ type: "delivered", session: "s1", offset: 3 }, handOut("s1", 4)) },
  { title: "a lane in the hands of two sessions", says: "came in session s3 before 1", change: after({ type: "delivered", session: "s1", attempt: 2 }, { type: "settle_sent", session: "s1", requestId: 8, verdict: "ack", offsets: [2] }, { type: "settle_confirmed", session: "s1", requestId: 8, failed: [] }, { type: "open_sent", subscriber: "all", session: "s3", events: [], laneDepth: 2 }, { type: "opened", session: "s3", committedOffset: 0 }, handOut("s3", 3)) },
  { title: "a message that comes back and recalls nothing", says: "1 was given back in session s1, and 3 behind it in its lane was not recalled", change: both(without({ type: "recalled" }), both(without({ type: "settle_sent", session: "s1", requestId: 1 }), without({ type: "settle_confirmed", session: "s1", requestId: 1 }))) },
  { title: "a message whose lease ran out and that comes again, but recalls nothing", says: "1 came again in session s1, and 3 behind it in its lane was not recalled", change: [1, 2].reduce<Change>((done, requestId) => both(done, both(without({ type: "settle_sent", session: "s1", requestId }), without({ type: "settle_confirmed", session: "s1", requestId }))), without({ type: "recalled" })) },
  { title: "an ack that is confirmed before what is before it in its lane", says: "3 was confirmed in session s1 as settled before 1", change: both(change({ type: "settle_confirmed", session: "s1", requestId: 1 }, { failed: [] }), without({ type: "recalled" })) },
  { title: "a lane that begins behind its end after a session", says: "before 3 of the same lane", change: both(without({ type: "delivered", session: "s2", offset: 3 }), without({ type: "settle_sent", session: "s2", requestId: 1 })) },
];

describe("the history checker", () => {
  it("finds nothing in a sound history of lanes", () => {
    expect(checkHistory(soundLanes())).to.deep.equal([]);
  });

  for (const { title, says, change: plant } of plantedInLanes) {
    it(`I5: finds ${title}`, () => {
      const found = checkHistory(plant(soundLanes())).flatMap(({ invariant, text }) => (invariant === "I5" ? [text] : []));
      expect(found.filter((text) => text.includes(says)), found.join("\n")).not.to.deep.equal([]);
    });
  }

  it("does not take a frame for wrong that arrives after a later one of another stream", () => {
    const other: HistoryEvent[] = [
      { type: "open_sent", subscriber: "all", session: "s3", events: [], laneDepth: 2 },
      { type: "opened", session: "s3", committedOffset: 0 },
      { ...handOut("s3", 1), deliveryCount: 2 } as HistoryEvent,
    ];
    const found = checkHistory(after({ type: "delivered", session: "s1", offset: 1 }, ...other)(soundLanes())).filter(({ invariant }) => invariant === "I5");
    expect(found.filter(({ text }) => text.includes("offset 3 came in session s1"))).to.deep.equal([]);
  });

  const uncounted = (history: HistoryEvent[]): string[] => checkHistory(history).flatMap(({ text }) => (text.includes("not counted") ? [text] : []));
  const breaksOff = change({ type: "session_ended", session: "s1" }, { graceful: false });

  it("I4: finds a disconnect that is not counted, of a session that may hold several messages of a lane", () => {
    const [text, ...others] = uncounted(breaksOff(soundLanes()));
    expect(text).to.contain("offset 3");
    expect(others).to.deep.equal([]);
  });

  it("I4: finds a timeout that is not counted when the message goes to another session, though the lane was worked on before", () => {
    expect(uncounted(without({ type: "session_ended", session: "s1" })(soundLanes()))).to.have.length(1);
  });

  it("does not ask for the count of what may have been recalled without its session having heard it", () => {
    // Nobody knows whether the ack of offset 1 came too late; then offset 3 behind it was recalled.
    const unanswered = without({ type: "settle_confirmed", session: "s1", requestId: 3 });
    expect(uncounted(both(breaksOff, unanswered)(soundLanes()))).to.deep.equal([]);
    expect(uncounted(both(without({ type: "session_ended", session: "s1" }), unanswered)(soundLanes()))).to.deep.equal([]);
  });

  it("asks for the count of what came before a message whose hand-out is still open, and of other lanes", () => {
    // Offset 2 of lane y was all of its lane; offset 1 of lane x was held, and so was offset 3 behind it.
    const toOther: HistoryEvent[] = [
      { type: "session_ended", session: "s1", graceful: false },
      { type: "open_sent", subscriber: "all", session: "s9", events: [], laneDepth: 2 },
      { type: "opened", session: "s9", committedOffset: 0 },
      handOut("s9", 1),
      handOut("s9", 2),
      handOut("s9", 3),
    ];
    const cut = soundLanes();
    const history = [...cut.slice(0, place(cut, { type: "settle_sent", session: "s1", requestId: 1 })), ...toOther];
    expect(uncounted(history).map((text) => /offset \d/.exec(text)?.[0])).to.deep.equal(["offset 1", "offset 2"]);
  });

  it("counts what happened in lanes", () => {
    expect(summarize(soundLanes())).to.include({ recalls: 1, deepHandOuts: 2, lanesWithRedeliveries: 1 });
  });

  it("finds nothing in a sound history", () => {
    expect(checkHistory(soundHistory())).to.deep.equal([]);
  });

  for (const { invariant, title, change: plant } of planted) {
    it(`${invariant}: finds ${title}`, () => {
      const found = checkHistory(plant(soundHistory())).map((violation) => violation.invariant);
      expect(found).to.include(invariant);
    });
  }

  it("does not ask for the count of a hand-out that a crash interrupted", () => {
    const again: HistoryEvent = { type: "delivered", session: "a2", offset: 2, key: "m2", event: "mail.sent", attempt: 1, deliveryCount: 2 };
    expect(checkHistory(after({ type: "opened", session: "a2" }, again)(without({ type: "delivered", session: "a2", offset: 2 })(soundHistory())))).to.deep.equal([]);
  });

  it("knows a hand-out of the life before the crash, even when it arrives late", () => {
    const late: HistoryEvent = { type: "delivered", session: "a1", offset: 2, key: "m2", event: "mail.sent", attempt: 1, deliveryCount: 1 };
    expect(checkHistory(after({ type: "server_killed" }, late)(without({ type: "delivered", session: "a1", offset: 2 })(soundHistory())))).to.deep.equal([]);
  });

  it("accepts that a settle which was named in a failure comes again", () => {
    const lost = change({ type: "settle_confirmed", session: "a1" }, { failed: [1] });
    const again: HistoryEvent = { type: "delivered", session: "a2", offset: 1, key: "m1", event: "order.created", attempt: 1, deliveryCount: 2 };
    expect(checkHistory(after({ type: "opened", session: "a2" }, again)(lost(soundHistory())))).to.deep.equal([]);
  });

  it("counts what happened", () => {
    expect(summarize(soundHistory())).to.deep.equal({
      answered: 3,
      answeredAsDuplicate: 1,
      confirmedAcks: 5,
      deliveries: 9,
      redeliveries: 4,
      countedRedeliveries: 2,
      countsOverKills: 1,
      retriedAttempts: 3,
      sessions: 5,
      kills: 1,
      killsWithUnanswered: 1,
      recalls: 0,
      deepHandOuts: 0,
      lanesWithRedeliveries: 0,
    });
  });
});

describe("the checker's own filter", () => {
  const cases: readonly [patterns: readonly string[], event: string, takes: boolean][] = [
    [[], "order.created", true],
    [["order.created"], "order.created", true],
    [["order.*"], "order.created", true],
    [["order.*"], "order.line.added", false],
    [["order.**"], "order.line.added", true],
    [["order.**"], "order", false],
    [["**"], "order", true],
    [["*"], "order.created", false],
    [["mail.sent", "*.created"], "order.created", true],
    [["order.*"], "orders.created", false],
  ];
  for (const [patterns, event, takes] of cases) {
    it(`${takes ? "takes" : "leaves"} ${event} with [${patterns.join(", ")}]`, () => {
      expect(filterTakes(patterns, event)).to.equal(takes);
    });
  }
});
