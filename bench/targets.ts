/** What Tidemark is to reach beside a peer or beside a bare limit, as ratios of one run. */
export interface Target {
  readonly measure: string;
  readonly against: string;
  /** At least this for rates, at most this for times. */
  readonly ratio: number;
}

const NATS = "NATS JetStream, sync always";
const NATS_DEFAULT = "NATS JetStream, default";
const REDIS = "Redis Streams, appendfsync always";
const RABBITMQ = "RabbitMQ quorum queue";
const STREAM = "bare stream + LMDB";
const FRAMES = "bare frames of 100";

export const TARGETS: readonly Target[] = [
  { measure: "publish, one caller", against: NATS, ratio: 0.85 },
  { measure: "publish, one caller", against: REDIS, ratio: 0.5 },
  { measure: "publish, one caller", against: STREAM, ratio: 0.9 },
  { measure: "publish, 64 callers", against: REDIS, ratio: 1 },
  { measure: "publish, 64 callers", against: RABBITMQ, ratio: 3 },
  { measure: "publish, 64 callers", against: NATS, ratio: 16 },
  { measure: "publish, 256 callers", against: REDIS, ratio: 2.5 },
  { measure: "publish, pipelined", against: REDIS, ratio: 6 },
  { measure: "publish, pipelined", against: STREAM, ratio: 0.75 },
  { measure: "unary Publish, native client, 64 on their way", against: "bare unary echo", ratio: 0.75 },
  { measure: "consume a backlog, ack each", against: NATS_DEFAULT, ratio: 2.5 },
  { measure: "consume a backlog, ack each", against: FRAMES, ratio: 0.4 },
  { measure: "consume a backlog, ack by the hundred", against: NATS_DEFAULT, ratio: 2 },
  { measure: "fan-out to 10", against: REDIS, ratio: 10 },
  { measure: "fan-out to 10", against: FRAMES, ratio: 0.4 },
  { measure: "delivery at 1,000 messages a second", against: NATS, ratio: 0.85 },
];
