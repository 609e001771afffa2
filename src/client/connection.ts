import { performance } from "node:perf_hooks";
import { type ChannelCredentials, type ChannelOptions, type ClientDuplexStream, connectivityState, credentials } from "@grpc/grpc-js";
import { AdminServiceClient } from "../../generated/tidemark/v1/admin_service.js";
import { BrokerServiceClient, BrokerServiceService } from "../../generated/tidemark/v1/broker_service.js";
import type { SubscribeRequest } from "../../generated/tidemark/v1/subscribe.js";
import { readSubscribeFrame, type SubscribeFrame } from "./subscribe-frame.js";
import { TidemarkError } from "./tidemark-error.js";

const MIB = 1024 * 1024;

/** A connection attempt that gets no answer at all is given up after this, whatever patience the caller has left. */
const CONNECT_MS_MAX = 10_000;

const CHANNEL_OPTIONS: ChannelOptions = {
  // The retry buffer of grpc-js keeps every message of a long stream; reconnecting is done here instead.
  "grpc.enable_retries": 0,
  // The default window of 64 KiB makes delivery batches crawl.
  "grpc-node.flow_control_window": 1 * MIB,
  "grpc.max_receive_message_length": 16 * MIB,
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 10_000,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 5_000,
  "grpc.dns_min_time_between_resolutions_ms": 1_000,
  // One client, one connection: another client in this process does not share its fate.
  "grpc.use_local_subchannel_pool": 1,
};

/** One channel to one broker. Connects by itself at the first call, and again after a break. */
export class Connection {
  readonly broker: BrokerServiceClient;
  /** On the same channel. */
  readonly admin: AdminServiceClient;

  constructor(
    readonly address: string,
    channelCredentials: ChannelCredentials = credentials.createInsecure(),
  ) {
    this.broker = new BrokerServiceClient(address, channelCredentials, CHANNEL_OPTIONS);
    this.admin = new AdminServiceClient(address, channelCredentials, { channelOverride: this.broker.getChannel() });
  }

  /** A Subscribe stream, whose deliveries come as the bytes that they are. */
  subscribe(): ClientDuplexStream<SubscribeRequest, SubscribeFrame> {
    const { path, requestSerialize } = BrokerServiceService.subscribe;
    return this.broker.makeBidiStreamRequest(path, requestSerialize, readSubscribeFrame);
  }

  /**
   * Resolves when the channel is connected. Rejects with NOT_CONNECTED once an attempt has failed and `patienceMs` is over;
   * 0: the first failed attempt decides.
   */
  ready(patienceMs: number): Promise<void> {
    const channel = this.broker.getChannel();
    const startMs = performance.now();
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const state = channel.getConnectivityState(true);
        const spentMs = performance.now() - startMs;
        if (state === connectivityState.READY) {
          resolve();
        } else if (state === connectivityState.SHUTDOWN || (state === connectivityState.TRANSIENT_FAILURE && spentMs >= patienceMs)) {
          reject(this.notConnected());
        } else if (spentMs >= Math.max(patienceMs, CONNECT_MS_MAX)) {
          reject(this.notConnected());
        } else {
          const waitMs = state === connectivityState.TRANSIENT_FAILURE ? patienceMs : Math.max(patienceMs, CONNECT_MS_MAX);
          // The callback's error only says that the deadline passed, which `look` sees by itself.
          channel.watchConnectivityState(state, Date.now() + Math.max(1, waitMs - spentMs), look);
        }
      };
      look();
    });
  }

  close(): void {
    this.broker.close();
  }

  private notConnected(): TidemarkError {
    return new TidemarkError("UNAVAILABLE", "NOT_CONNECTED", `no broker answers at ${this.address}`, { address: this.address });
  }
}
