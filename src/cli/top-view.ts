import type { ClientEvent, ClientInfo } from "../client/index.js";
import { clientColumns, clientJson, clientName, leftText } from "./client-view.js";
import { ageText, bytesText, counted, countText, timeOfDay } from "./quantity.js";
import { type Column, tableLines } from "./table.js";
import { cutToColumns, type Paint } from "./terminal.js";
import type { QueueRow, Sample, SubscriberRow } from "./top-sample.js";

/** What comes first: what hurts, or the alphabet. */
export type TopOrder = "trouble" | "name";

/** Everything that `tidemark top` shows. */
export interface TopState {
  readonly address: string;
  readonly now: Date;
  /** The newest one; undefined: there was none yet. */
  readonly sample: Sample | undefined;
  /** Why the broker does not answer, and since when; undefined: it does. */
  readonly trouble: { readonly since: Date; readonly text: string } | undefined;
  /** Clients that went lately, the newest first. */
  readonly departures: readonly Departure[];
  readonly order: TopOrder;
  /** Lines scrolled over. */
  readonly scrolled: number;
}

export type Departure = Extract<ClientEvent, { type: "left" }>;

/** A screen, and how far it can be scrolled. */
export interface TopScreen {
  /** As many as the screen has rows, or fewer. */
  readonly lines: readonly string[];
  readonly scrolledMax: number;
}

const HEAD_LINES = 2;
const FOOT_LINES = 1;

/** Draws a screen of this size: two lines about the server, tables between, one line of keys. */
export function topScreen(state: TopState, columns: number, rows: number, paint: Paint): TopScreen {
  const body = topBody(state, paint);
  const room = Math.max(1, rows - HEAD_LINES - FOOT_LINES);
  const scrolledMax = Math.max(0, body.length - room);
  const first = Math.min(state.scrolled, scrolledMax);
  const shown = body.slice(first, first + room);
  const fill = Array<string>(room - shown.length).fill("");
  const lines = [...headLines(state, paint), ...shown, ...fill, footLine(state, first, room, body.length, paint)];
  return { lines: lines.slice(0, rows).map((line) => cutToColumns(line, columns)), scrolledMax };
}

/** The same without a screen: for a look at one moment. */
export function topLines(state: TopState, paint: Paint): readonly string[] {
  return [...headLines(state, paint), ...topBody(state, paint)];
}

/** A sample for programs. */
export function topJson({ time, server, queues, subscribers, clients, isCut }: Sample): object {
  return {
    time: time.toISOString(),
    server: { version: server.version, engine: server.engine, durability: server.durability, ...(server.startTime !== undefined && { start_time: server.startTime.toISOString() }) },
    queues: queues.map((queue) => ({
      name: queue.name,
      message_count: queue.messageCount,
      bytes: queue.bytes,
      head_offset: queue.headOffset,
      ...(queue.inPerSecond !== undefined && { in_per_second: rounded(queue.inPerSecond) }),
      ...(queue.slowestBacklog !== undefined && { slowest_backlog_count: queue.slowestBacklog }),
      client_count: queue.clientCount,
      dead_letter_count: queue.deadLetterCount,
    })),
    subscribers: subscribers.map((subscriber) => ({
      queue: subscriber.queue,
      name: subscriber.name,
      committed_offset: subscriber.committedOffset,
      ...(subscriber.settledPerSecond !== undefined && { settled_per_second: rounded(subscriber.settledPerSecond) }),
      backlog_count: subscriber.backlogCount,
      in_flight_count: subscriber.inFlightCount,
      waiting_retry_count: subscriber.waitingRetryCount,
      dead_letter_count: subscriber.deadLetterCount,
      client_count: subscriber.clientCount,
    })),
    clients: clients.map(clientJson),
    is_cut: isCut,
  };
}

function headLines({ address, now, sample, trouble }: TopState, paint: Paint): readonly string[] {
  const server = sample?.server;
  const about = server === undefined ? ["tidemark"] : [`tidemark ${server.version}`, engineText(server), `up ${ageText(server.startTime, now)}`];
  const first = [paint("strong", about[0] ?? ""), ...about.slice(1), paint("name", address), paint("dim", timeOfDay(now))].join(paint("dim", " · "));
  if (trouble !== undefined) return [first, paint("bad", `no answer since ${timeOfDay(trouble.since)}: ${trouble.text}; trying again`)];
  if (sample === undefined) return [first, paint("dim", "asking …")];
  const inPerSecond = sample.queues.reduce((sum, queue) => sum + (queue.inPerSecond ?? 0), 0);
  const counts = [counted(sample.queues.length, "queue"), counted(sample.subscribers.length, "subscriber"), counted(sample.clients.length, "client"), `${rateText(inPerSecond)} messages in/s`];
  const cut = sample.isCut ? paint("warning", "; there is more, --queue shows one queue alone") : "";
  return [first, `${counts.join(paint("dim", " · "))}${cut}`];
}

/** A memory engine is worth what its name says. */
function engineText({ engine, durability }: Sample["server"]): string {
  const worth = durability.toLowerCase();
  return worth === engine ? engine : `${engine}, ${worth}`;
}

function footLine({ order }: TopState, first: number, room: number, total: number, paint: Paint): string {
  const scroll = total > room ? [`↑↓ scroll, lines ${first + 1} to ${Math.min(first + room, total)} of ${total}`] : [];
  return paint("dim", ["q quit", `s order: ${order === "trouble" ? "what hurts first" : "by name"}`, ...scroll].join(" · "));
}

function topBody({ sample, now, order, departures }: TopState, paint: Paint): readonly string[] {
  const lines: string[] = [];
  if (sample !== undefined) {
    lines.push("", ...section(QUEUES, sorted(sample.queues, order, queueTrouble), "no queues", paint));
    lines.push("", ...section(SUBSCRIBERS, sorted(sample.subscribers, order, subscriberTrouble), "no subscribers", paint));
    lines.push("", ...section(clientColumns(now), sorted(sample.clients, order, clientTrouble), "nobody is connected", paint));
  }
  if (departures.length > 0) lines.push("", paint("dim", "LEFT LATELY"), ...departures.map((departure) => departureLine(departure, now, paint)));
  return lines;
}

function section<Row>(columns: readonly Column<Row>[], rows: readonly Row[], none: string, paint: Paint): readonly string[] {
  return rows.length === 0 ? [paint("dim", none)] : tableLines(columns, rows, paint);
}

/** Lists come sorted by name, so equal trouble stays in that order. */
function sorted<Row>(rows: readonly Row[], order: TopOrder, trouble: (row: Row) => readonly number[]): readonly Row[] {
  if (order === "name") return rows;
  return [...rows].sort((a, b) => {
    const [of, than] = [trouble(a), trouble(b)];
    const at = of.findIndex((amount, i) => amount !== than[i]);
    return at === -1 ? 0 : (than[at] ?? 0) - (of[at] ?? 0);
  });
}

const queueTrouble = (queue: QueueRow): readonly number[] => [queue.slowestBacklog ?? 0, queue.deadLetterCount, queue.inPerSecond ?? 0];
const subscriberTrouble = (subscriber: SubscriberRow): readonly number[] => [subscriber.backlogCount, subscriber.waitingRetryCount, subscriber.deadLetterCount, subscriber.inFlightCount];
const clientTrouble = (client: ClientInfo): readonly number[] => [client.backlogCount, client.inFlightCount];

const QUEUES: readonly Column<QueueRow>[] = [
  { title: "QUEUE", tone: "strong", text: ({ name }) => name },
  { title: "MESSAGES", align: "right", text: ({ messageCount }) => countText(messageCount) },
  { title: "SIZE", align: "right", text: ({ bytes }) => bytesText(bytes) },
  { title: "IN/S", align: "right", text: ({ inPerSecond }) => rateText(inPerSecond) },
  { title: "SLOWEST", align: "right", text: ({ slowestBacklog }) => (slowestBacklog === undefined ? "-" : countText(slowestBacklog)) },
  { title: "DEAD", align: "right", text: ({ deadLetterCount }) => countText(deadLetterCount) },
  { title: "CLIENTS", align: "right", text: ({ clientCount }) => countText(clientCount) },
];

const SUBSCRIBERS: readonly Column<SubscriberRow>[] = [
  { title: "SUBSCRIBER", tone: "strong", text: ({ name }) => name },
  { title: "QUEUE", tone: "name", text: ({ queue }) => queue },
  { title: "LAG", align: "right", text: ({ backlogCount }) => countText(backlogCount) },
  { title: "IN FLIGHT", align: "right", text: ({ inFlightCount }) => countText(inFlightCount) },
  { title: "RETRYING", align: "right", text: ({ waitingRetryCount }) => countText(waitingRetryCount) },
  { title: "DEAD", align: "right", text: ({ deadLetterCount }) => countText(deadLetterCount) },
  { title: "SETTLED/S", align: "right", text: ({ settledPerSecond }) => rateText(settledPerSecond) },
  { title: "CLIENTS", align: "right", text: ({ clientCount }) => countText(clientCount) },
];

function departureLine(departure: Departure, now: Date, paint: Paint): string {
  const { client, time } = departure;
  const where = client.subscriber === "" ? client.queue : `${client.queue}/${client.subscriber}`;
  return [paint("dim", timeOfDay(time ?? now)), paint("strong", clientName(client)), paint("name", where), leftText(departure, paint)].join("  ");
}

/** A rate as people read it: one digit behind the point below 10. */
function rateText(perSecond: number | undefined): string {
  if (perSecond === undefined) return "-";
  return perSecond > 0 && perSecond < 10 ? perSecond.toFixed(1) : countText(Math.round(perSecond));
}

function rounded(perSecond: number): number {
  return Math.round(perSecond * 100) / 100;
}
