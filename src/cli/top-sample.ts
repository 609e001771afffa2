import { type ClientInfo, type QueueInfo, type ServerInfo, type SubscriberInfo, type TidemarkClient, TidemarkError } from "../client/index.js";

/** The most of each kind that is asked for at once: what a page of a list holds. The rest is said to be there. */
const ROWS_MAX = 100;

/** A queue, and how fast it grows. */
export interface QueueRow extends QueueInfo {
  /** Messages published in a second since the sample before; undefined: there was none. */
  readonly inPerSecond: number | undefined;
  /** The largest backlog of its subscribers; undefined: it has none. */
  readonly slowestBacklog: number | undefined;
}

/** A subscriber, and how fast it goes on. */
export interface SubscriberRow extends SubscriberInfo {
  /** How far its committed offset moved in a second since the sample before; undefined: there was none. */
  readonly settledPerSecond: number | undefined;
}

/** What a broker has at one moment. */
export interface Sample {
  readonly time: Date;
  readonly server: ServerInfo;
  readonly queues: readonly QueueRow[];
  readonly subscribers: readonly SubscriberRow[];
  readonly clients: readonly ClientInfo[];
  /** There is more than was asked for. */
  readonly isCut: boolean;
}

/**
 * Asks a broker what it has, by lists of bounded length.
 * @param queue only this one; undefined: all
 * @param before for the rates
 */
export async function takeSample({ admin }: TidemarkClient, queue: string | undefined, before: Sample | undefined): Promise<Sample> {
  const [server, queues, clients] = await Promise.all([admin.server(), queuesOf(admin, queue), firstOf(admin.clients(queue))]);
  const lists = await Promise.all(queues.rows.map(async ({ name, subscriberCount }) => (subscriberCount === 0 ? NOTHING : whileThere(() => firstOf(admin.subscribers(name))))));
  const time = new Date();
  const seconds = before === undefined ? 0 : (time.getTime() - before.time.getTime()) / 1_000;
  const subscribers = lists.flatMap(({ rows }) => rows.map((row) => subscriberRow(row, before, seconds)));
  return {
    time,
    server,
    queues: queues.rows.map((row) => queueRow(row, subscribers, before, seconds)),
    subscribers,
    clients: clients.rows,
    isCut: [queues, clients, ...lists].some(({ isCut }) => isCut),
  };
}

interface Some<Row> {
  readonly rows: readonly Row[];
  readonly isCut: boolean;
}

const NOTHING: Some<never> = { rows: [], isCut: false };

function queuesOf(admin: TidemarkClient["admin"], name: string | undefined): Promise<Some<QueueInfo>> {
  if (name === undefined) return firstOf(admin.queues());
  return admin.queue(name).then((queue) => ({ rows: [queue], isCut: false }));
}

async function firstOf<Row>(list: AsyncIterable<Row>): Promise<Some<Row>> {
  const rows: Row[] = [];
  for await (const row of list) {
    if (rows.length === ROWS_MAX) return { rows, isCut: true };
    rows.push(row);
  }
  return { rows, isCut: false };
}

/** A queue that is deleted between two questions has nothing. */
async function whileThere<Row>(ask: () => Promise<Some<Row>>): Promise<Some<Row>> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof TidemarkError && error.code === "NOT_FOUND") return NOTHING;
    throw error;
  }
}

function queueRow(queue: QueueInfo, subscribers: readonly SubscriberRow[], before: Sample | undefined, seconds: number): QueueRow {
  const backlogs = subscribers.filter((subscriber) => subscriber.queue === queue.name).map(({ backlogCount }) => backlogCount);
  const then = before?.queues.find(({ queueId }) => queueId === queue.queueId);
  return { ...queue, inPerSecond: rate(queue.headOffset, then?.headOffset, seconds), slowestBacklog: backlogs.length === 0 ? undefined : Math.max(...backlogs) };
}

function subscriberRow(subscriber: SubscriberInfo, before: Sample | undefined, seconds: number): SubscriberRow {
  const then = before?.subscribers.find(({ queue, name }) => queue === subscriber.queue && name === subscriber.name);
  return { ...subscriber, settledPerSecond: rate(subscriber.committedOffset, then?.committedOffset, seconds) };
}

/** Offsets grow, unless an operator moved a subscriber or made it again. */
function rate(now: number, then: number | undefined, seconds: number): number | undefined {
  if (then === undefined || seconds <= 0 || now < then) return undefined;
  return (now - then) / seconds;
}
