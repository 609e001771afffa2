import { parse, View } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import { median, type Outcome } from "../rounds.js";

const OURS = "#0b7a75";
const PEER = "#b8c4c8";
const NOT_DURABLE = "#e4ddd0";

/** What a bar stands for. */
interface Bar {
  readonly measure: string;
  readonly contestant: string;
  readonly value: number;
}

/**
 * Bars of medians, a panel a measure, each with a scale of its own, as SVG.
 * @param notDurable contestants whose answers do not mean that the message is on disk; they are drawn paler
 */
export function barChart(title: string, outcomes: readonly Outcome[], contestants: readonly string[], notDurable: readonly string[]): Promise<string> {
  const bars: Bar[] = outcomes.flatMap((outcome) =>
    outcome.series
      .filter(({ contestant, figure, failure }) => contestants.includes(contestant) && figure === outcome.figures[0]?.name && failure === undefined)
      .map(({ contestant, values }) => ({ measure: outcome.measure, contestant, value: Math.round(median(values) * 100) / 100 })),
  );
  const spec: TopLevelSpec = {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    title: { text: title, anchor: "start" },
    background: "white",
    data: { values: bars },
    facet: { field: "measure", type: "nominal", title: null, sort: outcomes.map(({ measure }) => measure), header: { labelFontWeight: "bold", labelAnchor: "start", labelOrient: "top" } },
    columns: 2,
    resolve: { scale: { x: "independent" } },
    spec: {
      width: 300,
      height: { step: 18 },
      layer: [
        {
          mark: { type: "bar", cornerRadiusEnd: 2 },
          encoding: {
            x: { field: "value", type: "quantitative", title: null, axis: { format: "~s", tickCount: 4, grid: true } },
            color: {
              condition: [
                { test: `datum.contestant === 'Tidemark'`, value: OURS },
                { test: `indexof(${JSON.stringify(notDurable)}, datum.contestant) >= 0`, value: NOT_DURABLE },
              ],
              value: PEER,
            },
          },
        },
        { mark: { type: "text", align: "left", dx: 3, fontSize: 10 }, encoding: { x: { field: "value", type: "quantitative" }, text: { field: "value", type: "quantitative", format: ".3~s" } } },
      ],
      encoding: { y: { field: "contestant", type: "nominal", title: null, sort: [...contestants] } },
    },
    config: { font: "system-ui, sans-serif", view: { stroke: null }, axis: { domain: false, ticks: false } },
  };
  return new View(parse(compile(spec).spec), { renderer: "none" }).toSVG();
}
