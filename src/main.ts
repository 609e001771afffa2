import { readFile } from "node:fs/promises";
import { Broker } from "./broker/broker.js";
import { BROKER_DEFAULTS } from "./broker/settings.js";
import { programVersion } from "./cli/version.js";
import { formatListenAddress } from "./config/listen-address.js";
import type { ListenAddress } from "./config/listen-address.js";
import type { ServeSettings } from "./config/serve-settings.js";
import { BrokerError } from "./core/errors.js";
import { openLmdbEngine } from "./engines/lmdb/lmdb-engine.js";
import { MemoryEngine } from "./engines/memory/memory-engine.js";
import { GrpcServer } from "./grpc/server.js";
import type { Engine, EngineFailure } from "./ports/engine.js";
import type { Journal } from "./ports/journal.js";
import { NO_TELEMETRY } from "./ports/telemetry.js";
import type { Telemetry } from "./ports/telemetry.js";
import { SystemClock } from "./system/clock.js";
import { openJournal } from "./system/journal.js";
import { SystemRandom } from "./system/random.js";
import { EventLoopTurns } from "./system/turns.js";
import { QUEUE_SERIES_MAX } from "./telemetry/metric-table.js";
import type { MetricsServer } from "./telemetry/metrics-server.js";
import type { PrometheusTelemetry } from "./telemetry/prometheus.js";

/** From the signal to the end of the process at most, whatever clients and disk do. */
const STOP_MS_MAX = 9_000;

/** For the last answers to leave, once nothing is left to wait for. */
const LAST_ANSWERS_MS = 500;

/** When a client that was refused by a stopping server may try again. */
const RECONNECT_AFTER_MS = 1_000;

/** A server that listens. */
export interface RunningServer {
  /** Where: `host:port` with the port that it got, or `unix:path`. */
  readonly address: string;
  /** Where Prometheus may scrape: `http://host:port/metrics`; undefined when nobody asked for it. */
  readonly metricsUrl: string | undefined;
  /**
   * Resolves when the engine can go no further. By then nobody is answered any more; what is left is to end the process with a
   * failure, since only a new one may go on with the data.
   */
  readonly failed: Promise<EngineFailure>;
  /**
   * Stops in order: health says NOT_SERVING, clients are told, what they hold is waited for within the grace, then given back,
   * committed, and closed. Resolves within 10 s whatever clients do; later calls join the first.
   */
  stop(): Promise<void>;
}

/** Puts a server together and starts it. Rejects, having let go of everything, when it cannot start. */
export async function startServer(settings: ServeSettings): Promise<RunningServer> {
  const journal = openJournal(settings.logLevel);
  const metrics = await openMetrics(settings, journal);
  try {
    const engine = await openEngine(settings, journal, metrics?.telemetry ?? NO_TELEMETRY);
    try {
      return await serve(settings, engine, journal, metrics);
    } catch (error) {
      await engine.close();
      throw error;
    }
  } catch (error) {
    await metrics?.server.close();
    throw error;
  }
}

/** What there is when metrics were asked for. */
interface Metrics {
  readonly telemetry: PrometheusTelemetry;
  readonly server: MetricsServer;
  readonly url: string;
}

/**
 * Listens before anything else is done: a port that is taken is said at once. Its library is loaded only for who asks.
 */
async function openMetrics({ metricsListen }: ServeSettings, journal: Journal): Promise<Metrics | undefined> {
  if (metricsListen === undefined) return undefined;
  const [{ PrometheusTelemetry }, { MetricsServer }] = await Promise.all([import("./telemetry/prometheus.js"), import("./telemetry/metrics-server.js")]);
  const telemetry = new PrometheusTelemetry(new EventLoopTurns());
  const server = new MetricsServer(telemetry, journal);
  const port = await server.listen(metricsListen.host, metricsListen.port);
  return { telemetry, server, url: `http://${formatListenAddress(bound(metricsListen, port))}/metrics` };
}

async function serve(settings: ServeSettings, engine: Engine, journal: Journal, metrics: Metrics | undefined): Promise<RunningServer> {
  const clock = new SystemClock();
  const telemetry = metrics?.telemetry ?? NO_TELEMETRY;
  const broker = new Broker({
    engine,
    clock,
    turns: new EventLoopTurns(),
    random: new SystemRandom(),
    journal,
    telemetry,
    settings: { ...BROKER_DEFAULTS, autoCreateQueues: settings.autoCreateQueues },
  });
  await broker.start();
  const descriptors = await readFile(new URL("../generated/tidemark.binpb", import.meta.url));
  const server = new GrpcServer({ broker, clock, journal, telemetry, descriptors, version: programVersion() });
  const port = await server.listen(formatListenAddress(settings.listen));
  const address = formatListenAddress(bound(settings.listen, port));
  const failed = engine.failed.then((failure) => {
    server.cut();
    journal.error("the engine failed; nothing is answered any more", { error: failure });
    return failure;
  });
  metrics?.telemetry.watch({ broker, engine, version: programVersion() });
  if (metrics !== undefined) void broker.openQueues(QUEUE_SERIES_MAX);
  journal.info("tidemark serves", {
    address,
    metrics: metrics?.url ?? "off",
    dataDirectory: settings.engine === "memory" ? "none" : settings.dataDirectory,
    engine: engine.name,
    durability: engine.durability,
    version: programVersion(),
  });
  let stopped: Promise<void> | undefined;
  return {
    address,
    metricsUrl: metrics?.url,
    failed,
    stop: () => (stopped ??= stop({ settings, engine, journal, broker, server, metrics })),
  };
}

interface Parts {
  readonly settings: ServeSettings;
  readonly engine: Engine;
  readonly journal: Journal;
  readonly broker: Broker;
  readonly server: GrpcServer;
  readonly metrics: Metrics | undefined;
}

async function stop(parts: Parts): Promise<void> {
  const { journal, server, metrics } = parts;
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<"late">((resolve) => {
    timer = setTimeout(resolve, STOP_MS_MAX, "late");
  });
  try {
    const ended = await Promise.race([stopInOrder(parts), deadline]);
    if (ended === "late") journal.error("the stop took too long; what was not confirmed comes again", { waitedMs: STOP_MS_MAX });
    else journal.info("stopped");
  } finally {
    clearTimeout(timer);
    server.cut();
    await metrics?.server.close();
  }
}

async function stopInOrder({ settings, engine, broker, server }: Parts): Promise<void> {
  server.drain(new BrokerError("DRAINING", "the server is stopping: connect again, here or elsewhere", {}, RECONNECT_AFTER_MS));
  await broker.stop(settings.shutdownGraceMs);
  await server.close(LAST_ANSWERS_MS);
  await engine.close();
}

function openEngine({ engine, dataDirectory, freeDiskBytesMin }: ServeSettings, journal: Journal, telemetry: Telemetry): Promise<Engine> {
  if (engine === "memory") return Promise.resolve(new MemoryEngine(undefined, undefined, telemetry));
  return openLmdbEngine({ directory: dataDirectory, freeDiskBytesMin, journal, telemetry });
}

function bound(address: ListenAddress, port: number): ListenAddress {
  return address.kind === "tcp" ? { ...address, port } : address;
}
