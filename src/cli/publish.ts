import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { createInterface } from "node:readline";
import { buffer } from "node:stream/consumers";
import type { Command } from "commander";
import { connect, type OutgoingMessage, type Published, type TidemarkClient } from "../client/index.js";
import { durationMs, type GlobalOptions, headerPair } from "./arguments.js";
import { CommandFailure, UsageError } from "./failure.js";
import { Output, ReaderGone } from "./output.js";
import { Progress } from "./progress.js";
import { dateAndTime } from "./time-point.js";

interface PublishOptions {
  readonly file?: string;
  readonly lines?: boolean;
  readonly header?: Readonly<Record<string, string>>;
  readonly messageId?: string;
  readonly key?: string;
  readonly ttl?: number;
  readonly delay?: number;
  readonly deliverAt?: Date;
}

const EXAMPLES = `
Examples:
  tidemark publish orders order.created '{"id":42}'
  tidemark publish orders order.created --file order.json --header source=shop
  date | tidemark publish clock tick
  tidemark publish orders reminder.due '{"id":42}' --delay 15m
  tidemark publish orders order.created --lines < orders.ndjson

Prints the offset once the message is durable; in a pipe, one line of JSON a message.`;

/** `tidemark publish`: one message, or one for each line of input. */
export function addPublish(program: Command): void {
  program
    .command("publish")
    .summary("publish a message, or one for each line of input")
    .description("Publish a message to a queue. The payload is the argument, a file, or standard input.")
    .argument("<queue>", "the queue; it is made if it does not exist")
    .argument("<event>", "what happened, in dotted tokens: order.created")
    .argument("[payload]", "the payload as text")
    .option("-f, --file <path>", "take the payload from a file")
    .option("-l, --lines", "publish each line of the input (or --file) as a message of its own")
    .option("-H, --header <name=value>", "add a header; may be repeated", headerPair)
    .option("-i, --message-id <id>", "store it once, however often it is sent (within the dedup window)")
    .option("-k, --key <key>", "the ordering key")
    .option("-t, --ttl <time>", "how long it is worth delivering: 30s, 15m, 2h, 1d", (text) => durationMs(text, 1))
    .option("-d, --delay <time>", "put the message off: 30s, 15m, 2h, 1d", (text) => durationMs(text))
    .option("--deliver-at <time>", "put the message off until a time: 2026-12-24T08:30, local unless it names a zone", dateAndTime)
    .addHelpText("after", EXAMPLES)
    .action(async (queue: string, event: string, payload: string | undefined, options: PublishOptions, command: Command) => {
      checkSources(payload, options);
      const { address, json } = command.optsWithGlobals<GlobalOptions>();
      const output = new Output(json);
      const client = connect(address, { patienceMs: 0, clientId: "tidemark-cli" });
      try {
        if (options.lines === true) await publishLines(client, output, queue, event, options);
        else await publishOne(client, output, queue, event, payload, options);
      } finally {
        await client.close();
      }
    });
}

function checkSources(payload: string | undefined, options: PublishOptions): void {
  if (payload !== undefined && options.file !== undefined) throw new UsageError("the payload is given twice, as an argument and by --file; leave one out");
  if (payload !== undefined && options.lines === true) throw new UsageError("--lines reads its messages from the input or --file; leave the payload argument out");
  if (options.lines === true && options.messageId !== undefined) throw new UsageError("--message-id names one message and cannot go with --lines");
  if (options.delay !== undefined && options.deliverAt !== undefined) throw new UsageError("--delay and --deliver-at both say when; leave one out");
  if (payload === undefined && options.file === undefined && options.lines !== true && process.stdin.isTTY) {
    throw new UsageError(`there is no payload; give it as the third argument ('' for an empty one), by --file, or pipe it in`);
  }
}

async function publishOne(client: TidemarkClient, output: Output, queue: string, event: string, payload: string | undefined, options: PublishOptions): Promise<void> {
  const { paint } = output;
  const body = payload ?? (options.file === undefined ? await buffer(process.stdin) : await readPayload(options.file));
  const published = await client.publish(queue, messageOf(event, body, options));
  if (!output.isTerminal) {
    await output.line(publishedJson(queue, published));
  } else {
    const mark = published.duplicate ? paint("warning", "=") : paint("good", "✔");
    const words = published.duplicate ? paint("warning", "known message id, nothing stored") : paint("dim", bytesInWords(Buffer.byteLength(body)));
    const place = published.scheduleId === undefined ? `#${published.offset}` : `put off as ${published.scheduleId}`;
    await output.line(`${mark} ${paint("strong", queue)}  ${paint("number", place)}  ${paint("name", event)}  ${words}`);
  }
  warnUnmatched(output, queue, event, published.duplicate ? 0 : countUnmatched([published]), 1);
}

async function publishLines(client: TidemarkClient, output: Output, queue: string, event: string, options: PublishOptions): Promise<void> {
  const size = options.file === undefined ? undefined : await fileSize(options.file);
  const progress = new Progress(output, "messages", size);
  const printer = new OrderedPrinter(queue, output, progress);
  await client.connected();
  const input = options.file === undefined ? process.stdin : createReadStream(options.file);
  // The lines end with the stream; what breaks the stream comes here.
  const inputFailed = new Promise<never>((_, reject) => input.once("error", (error: Error) => reject(unreadable(options.file ?? "the input", error))));
  inputFailed.catch((error: unknown) => printer.fail(error));
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    if (printer.failed) break;
    await client.publishable();
    printer.add(client.publish(queue, messageOf(event, line, options)), Buffer.byteLength(line) + 1);
  }
  await printer.finish();
  const { count, unmatched, firstOffset, lastOffset } = printer;
  if (output.isTerminal) {
    const { paint } = output;
    const offsets = count === 0 || lastOffset === 0 ? "" : `  ${paint("number", count === 1 ? `#${firstOffset}` : `#${firstOffset} to #${lastOffset}`)}`;
    await output.line(`${paint("good", "✔")} ${paint("strong", queue)}  ${messagesInWords(count)}${offsets}  ${paint("name", event)}`);
  }
  warnUnmatched(output, queue, event, unmatched, count);
}

/** Prints what became of messages in the order of their lines, while later ones are on their way. */
class OrderedPrinter {
  count = 0;
  unmatched = 0;
  firstOffset = 0;
  lastOffset = 0;
  private tail: Promise<void> = Promise.resolve();
  private failure: Error | undefined;

  constructor(
    private readonly queue: string,
    private readonly output: Output,
    private readonly progress: Progress,
  ) {}

  get failed(): boolean {
    return this.failure !== undefined;
  }

  /** @param bytes of its line in the input */
  add(publishing: Promise<Published>, bytes: number): void {
    // A refusal ends the reading at once; what was sent before it is waited for, so that it is counted.
    publishing.catch((error: unknown) => this.fail(error));
    this.tail = this.tail.then(async () => this.print(await publishing, bytes));
    this.tail.catch((error: unknown) => this.fail(error));
  }

  fail(error: unknown): void {
    this.failure ??= error instanceof Error ? error : new Error(String(error));
  }

  async finish(): Promise<void> {
    await Promise.allSettled([this.tail]);
    this.progress.stop();
    if (this.failure === undefined) return;
    if (this.count > 0 && !(this.failure instanceof ReaderGone)) this.output.note(`tidemark: ${messagesInWords(this.count)} published before this failure, the last one is #${this.lastOffset}`);
    throw this.failure;
  }

  private async print(published: Published, bytes: number): Promise<void> {
    this.count++;
    this.progress.advance(bytes);
    this.unmatched += countUnmatched([published]);
    this.firstOffset ||= published.offset;
    this.lastOffset = published.offset;
    if (!this.output.isTerminal) await this.output.line(publishedJson(this.queue, published));
  }
}

function messageOf(event: string, payload: Buffer | string, options: PublishOptions): OutgoingMessage {
  return {
    event,
    payload,
    ...(options.header !== undefined && { headers: options.header }),
    ...(options.messageId !== undefined && { messageId: options.messageId }),
    ...(options.key !== undefined && { orderingKey: options.key }),
    ...(options.ttl !== undefined && { ttlMs: options.ttl }),
    ...(options.delay !== undefined && { delayMs: options.delay }),
    ...(options.deliverAt !== undefined && { deliverTime: options.deliverAt }),
  };
}

/** Undefined for what is no regular file, such as a pipe: nobody knows its length. */
async function fileSize(path: string): Promise<number | undefined> {
  try {
    const found = await stat(path);
    return found.isFile() ? found.size : undefined;
  } catch (error) {
    throw unreadable(path, error);
  }
}

async function readPayload(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(what: string, error: unknown): CommandFailure {
  return new CommandFailure(`cannot read ${what}: ${error instanceof Error ? error.message : String(error)}`);
}

function publishedJson(queue: string, { offset, duplicate, publishTime, scheduleId }: Published): string {
  return JSON.stringify({ queue, offset, duplicate, ...(scheduleId !== undefined && { schedule_id: scheduleId }), ...(publishTime !== undefined && { publish_time: publishTime.toISOString() }) });
}

function countUnmatched(published: readonly Published[]): number {
  return published.filter(({ matched }) => matched === false).length;
}

/** The typo alarm: stored, but no durable subscriber's filter takes it. */
function warnUnmatched(output: Output, queue: string, event: string, unmatched: number, count: number): void {
  if (unmatched < count || count === 0 || !output.isTerminal) return;
  output.note(output.paintNote("dim", `  no subscriber of ${queue} takes ${event} so far`));
}

function bytesInWords(bytes: number): string {
  return bytes === 1 ? "1 byte" : `${bytes.toLocaleString("en")} bytes`;
}

function messagesInWords(count: number): string {
  return count === 1 ? "1 message" : `${count.toLocaleString("en")} messages`;
}
