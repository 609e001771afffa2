import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Journal } from "../ports/journal.js";

const PATH = "/metrics";
/** A scrape is one short request: whoever takes longer to ask, or to take the answer, is cut off. */
const REQUEST_MS_MAX = 5_000;
const IDLE_MS_MAX = 60_000;
const CONNECTIONS_MAX = 16;
const HEADER_BYTES_MAX = 8 * 1024;

/** What is served. */
export interface ScrapeSource {
  readonly contentType: string;
  scrape(): Promise<string>;
}

/** The HTTP server that Prometheus asks. Constructed deaf. */
export class MetricsServer {
  private readonly server: Server;

  constructor(
    private readonly source: ScrapeSource,
    private readonly journal: Journal,
  ) {
    const limits = { requestTimeout: REQUEST_MS_MAX, headersTimeout: REQUEST_MS_MAX, connectionsCheckingInterval: REQUEST_MS_MAX / 5, keepAliveTimeout: IDLE_MS_MAX, maxHeaderSize: HEADER_BYTES_MAX };
    this.server = createServer(limits, (request, response) => {
      this.answer(request, response);
    });
    this.server.maxConnections = CONNECTIONS_MAX;
    this.server.setTimeout(IDLE_MS_MAX);
  }

  /**
   * Starts to serve. Rejects when the address cannot be had.
   * @returns the port; the one that was chosen when it was 0
   */
  async listen(host: string, port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.server.once("error", (error) => {
        reject(new Error(`cannot listen on ${host}:${port} for metrics: ${error.message}; choose another with --metrics-listen, or off`, { cause: error }));
      });
      this.server.listen(port, host, resolve);
    });
    this.server.on("error", (error) => {
      this.journal.error("the metrics server failed", { error });
    });
    const address = this.server.address();
    return typeof address === "object" && address !== null ? address.port : port;
  }

  /** Closes the socket and every connection at once, answered or not. Safe to repeat, and before `listen`. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.server.close(() => {
        resolve();
      });
      this.server.closeAllConnections();
    });
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const { method, url = "" } = request;
    // A body is no part of a scrape; it is not read.
    if (url.split("?")[0] !== PATH) say(response, 404, `there is nothing here; the metrics are at ${PATH}\n`);
    else if (method !== "GET" && method !== "HEAD") say(response.setHeader("allow", "GET, HEAD"), 405, `${PATH} takes GET and HEAD\n`);
    else if (method === "HEAD") response.writeHead(200, { "content-type": this.source.contentType }).end();
    else this.scrape(response);
  }

  private scrape(response: ServerResponse): void {
    this.source.scrape().then(
      (text) => {
        say(response, 200, text, this.source.contentType);
      },
      (error: unknown) => {
        this.journal.error("the metrics cannot be gathered", { error });
        say(response, 500, "the metrics cannot be gathered; the server's log says why\n");
      },
    );
  }
}

function say(response: ServerResponse, status: number, text: string, contentType = "text/plain; charset=utf-8"): void {
  response.writeHead(status, { "content-type": contentType, "content-length": Buffer.byteLength(text) }).end(text);
}
