import { parse, View } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import type { ContestantFacts } from "../contestants/party.js";
import { median, type Outcome } from "../rounds.js";
import { figureText } from "./table.js";

const OURS = "#0b7a75";
const PEER = "#9fb3ba";
const NOT_DURABLE = "#dcd3bd";
const TEXT = "#24292f";
/** Above what vega takes our longest name for, without a font to measure it. */
const LABEL_PX_MAX = 400;

/** What is drawn, of all that is measured. */
const SHOWN: readonly string[] = [
  "publish, one caller",
  "publish, 64 callers",
  "publish, 256 callers",
  "publish, pipelined",
  "consume a backlog, ack each",
  "fan-out to 10",
  "delivery at 1,000 messages a second",
  "delivery at 20,000 messages a second",
];

/** What a bar stands for. */
interface Bar {
  readonly measure: string;
  readonly contestant: string;
  readonly value: number;
  /** The value as people read it. */
  readonly text: string;
}

/** Bars of medians, a panel a measure, each with a scale of its own, as SVG on a ground of its own; paler: not durable. */
export function barChart(outcomes: readonly Outcome[], contestants: readonly ContestantFacts[]): Promise<string> {
  const drawn = outcomes.filter(({ measure }) => SHOWN.includes(measure));
  const names = contestants.map(({ name }) => name);
  const notDurable = contestants.filter(({ isDurable }) => !isDurable).map(({ name }) => name);
  const bars: Bar[] = drawn.flatMap((outcome) =>
    outcome.series
      .filter(({ contestant, figure, failure }) => names.includes(contestant) && figure === outcome.figures[0]?.name && failure === undefined)
      .map(({ contestant, values }) => ({ measure: title(outcome), contestant, value: median(values), text: textOf(median(values), outcome) })),
  );
  const spec: TopLevelSpec = {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    background: "white",
    padding: 16,
    data: { values: bars },
    facet: { field: "measure", type: "nominal", title: null, sort: drawn.map(title), header: { labelFontWeight: "bold", labelFontSize: 12, labelColor: TEXT, labelAnchor: "start", labelOrient: "top" } },
    columns: 2,
    spacing: { row: 24, column: 32 },
    resolve: { scale: { x: "independent" } },
    spec: {
      width: 340,
      height: { step: 20 },
      layer: [
        {
          mark: { type: "bar", cornerRadiusEnd: 2 },
          encoding: {
            x: { field: "value", type: "quantitative", title: null, axis: null },
            color: {
              condition: [
                { test: `datum.contestant === 'Tidemark'`, value: OURS },
                { test: `indexof(${JSON.stringify(notDurable)}, datum.contestant) >= 0`, value: NOT_DURABLE },
              ],
              value: PEER,
            },
          },
        },
        { mark: { type: "text", align: "left", dx: 4, fontSize: 11, color: TEXT }, encoding: { x: { field: "value", type: "quantitative" }, text: { field: "text", type: "nominal" } } },
      ],
      encoding: { y: { field: "contestant", type: "nominal", title: null, sort: [...names], axis: { labelLimit: LABEL_PX_MAX } } },
    },
    config: { font: "system-ui, sans-serif", view: { stroke: null }, axis: { domain: false, ticks: false, labelFontSize: 11, labelColor: TEXT } },
  };
  return new View(parse(compile(spec).spec), { renderer: "none" }).toSVG();
}

/** Times as they are, rates in thousands. */
function textOf(value: number, { figures }: Outcome): string {
  return figures[0]?.unit === "ms" ? figureText(value) : `${figureText(value / 1_000)}k`;
}

function title({ measure, figures }: Outcome): string {
  const [first] = figures;
  return first?.unit === "ms" ? `${measure.replace(" messages a second", "/s")}: ${first.name} in ms` : `${measure}: msgs/s`;
}
