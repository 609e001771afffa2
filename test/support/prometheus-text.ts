import { get } from "node:http";

/** A metric as a scrape gives it. */
export interface ScrapedMetric {
  readonly type: string;
  readonly help: string;
  /** Value by series as written: `name{label="value"}`. */
  readonly samples: ReadonlyMap<string, number>;
}

/** A scrape, by the name of the metric. */
export type Scrape = ReadonlyMap<string, ScrapedMetric>;

const NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\[\\\\"n])*"';
const SAMPLE = new RegExp(`^(${NAME})(\\{${LABEL}(?:,${LABEL})*\\})? (-?[0-9.]+(?:e[+-]?[0-9]+)?|Na[nN]|[+-]Inf)$`);
const COMMENT = new RegExp(`^# (HELP|TYPE) (${NAME}) (.*)$`);
const SUFFIXES: Readonly<Record<string, readonly string[]>> = { histogram: ["_bucket", "_sum", "_count"], summary: ["", "_sum", "_count"] };

/**
 * Reads Prometheus' text format, version 0.0.4, strictly: every line is of the grammar, every metric has one help and one type
 * before its samples, every sample belongs to the metric above it, and no series stands there twice. Throws on anything else.
 */
export function parseScrape(text: string): Scrape {
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  const metrics = new Map<string, { type: string; help: string; samples: Map<string, number> }>();
  let current = "";
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const [, kind, named = "", rest = ""] = COMMENT.exec(line) ?? [];
    if (kind === "HELP") {
      if (metrics.has(named)) throw new Error(`${named} is there twice`);
      metrics.set(named, { type: "", help: rest, samples: new Map() });
      current = named;
      continue;
    }
    const metric = metrics.get(current);
    if (metric === undefined) throw new Error(`before any help: ${line}`);
    if (kind === "TYPE") {
      if (named !== current || metric.type !== "" || metric.samples.size > 0) throw new Error(`a type out of place: ${line}`);
      metric.type = rest;
      continue;
    }
    const [, name = "", labels = "", value = ""] = SAMPLE.exec(line) ?? [];
    const suffixes = SUFFIXES[metric.type] ?? [""];
    if (!suffixes.some((suffix) => name === current + suffix)) throw new Error(`no sample of ${current}, a ${metric.type}: ${line}`);
    if (metric.samples.has(name + labels)) throw new Error(`twice: ${line}`);
    metric.samples.set(name + labels, Number(value.replace("Inf", "Infinity")));
  }
  return metrics;
}

/** The value of one series, written as in a scrape; undefined when it is not there. */
export function valueOf(scrape: Scrape, series: string): number | undefined {
  const name = series.split("{")[0] ?? "";
  const metric = scrape.get(name) ?? scrape.get(name.replace(/_(bucket|sum|count)$/, ""));
  return metric?.samples.get(series);
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** One HTTP request on a connection of its own. */
export function httpAnswer(url: string, method = "GET"): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    get(url, { method, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => (body += text));
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
      });
    }).on("error", reject);
  });
}
