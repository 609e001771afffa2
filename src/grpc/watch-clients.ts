import { WatchClientsRequest, WatchClientsResponse } from "../../generated/tidemark/v1/admin_service.js";
import type { BrokerApi } from "../broker/api.js";
import type { ClientFilter, ClientNews, ClientWatch } from "../broker/client-api.js";
import { checkName, invalidField } from "../core/names.js";
import { endWithError } from "./call-flow.js";
import type { AnswerCall, OpenCall } from "./call-flow.js";
import { decodeRequest, encodeMessage } from "./codec.js";
import { clientChange } from "./to-wire.js";

/** The sessions that a request names; INVALID_FIELD for a subscriber without its queue. */
export function clientFilter(request: { readonly queue: string; readonly subscriber: string }): ClientFilter {
  const queue = request.queue === "" ? undefined : checkName("queue", request.queue);
  const subscriber = request.subscriber === "" ? undefined : checkName("subscriber", request.subscriber);
  if (queue === undefined && subscriber !== undefined) throw invalidField("queue", "", "the queue of the subscriber that is asked for");
  return { queue, subscriber };
}

/**
 * One WatchClients call. News are taken from the broker while the stream has room for them; until then they wait there. The
 * broker ends it.
 */
export class WatchClientsCall implements OpenCall {
  private readonly watch: ClientWatch;
  private streamFull = false;

  /** @param onOver called once, when the call needs nothing more; never before this has returned */
  constructor(
    private readonly call: AnswerCall,
    broker: BrokerApi,
    private readonly onOver: () => void,
  ) {
    const filter = clientFilter(decodeRequest(WatchClientsRequest, "WatchClientsRequest", call.request));
    this.watch = broker.watchClients(filter, () => {
      this.tell();
    });
    call.on("drain", () => {
      this.streamFull = false;
      this.tell();
    });
    call.on("cancelled", () => {
      this.watch.stop();
      onOver();
    });
  }

  /** The broker tells of the sessions that end with the server first, and then that the watch is over. */
  drain(): void {
    this.tell();
  }

  private tell(): void {
    while (!this.streamFull) {
      const news = this.watch.take();
      if (news === undefined) return;
      this.write(news);
    }
  }

  private write(news: ClientNews): void {
    if (news.type === "over") {
      endWithError(this.call, news.error);
      this.onOver();
    } else {
      this.streamFull = !this.call.write(encodeMessage(WatchClientsResponse, { change: clientChange(news) }));
    }
  }
}
