import type { Command } from "commander";
import type { SaidSetting } from "../config/said-settings.js";
import { Output } from "./output.js";
import { addSettingFlags, readSettings, type SettingFlags } from "./settings.js";
import type { Paint } from "./terminal.js";
import { printableLine } from "./terminal.js";

const EXAMPLES = `
Examples:
  tidemark config                                     what "tidemark serve" would go by here, and why
  tidemark config --config server.json --json         the same of a file, for a program

A flag goes before the environment, that before the file, that before the default.`;

/** `tidemark config`: shows what the server would be told by the same flags, environment and file, and where each value comes from. */
export function addConfig(program: Command): void {
  const command = program.command("config").summary("show the settings of the server, and where each comes from");
  addSettingFlags(command.description(`Show the settings that "tidemark serve" would have with the same flags here. Starts nothing.`))
    .option("--json", "one JSON object, as in a pipe")
    .addHelpText("after", EXAMPLES)
    .action(async (flags: SettingFlags) => {
      const { origins } = await readSettings(flags);
      const output = new Output(flags.json === true);
      if (!output.isTerminal) await output.line(settingsAsJson(origins));
      else for (const line of settingsAsTable(origins, output.paint)) await output.line(line);
    });
}

/** One JSON object: by setting its value, where it comes from, and the words by which it was said there. */
export function settingsAsJson(origins: readonly SaidSetting[]): string {
  return JSON.stringify(Object.fromEntries(origins.map(({ name, value, origin, said }) => [name, { value, origin, said }])));
}

/** Aligned columns: setting, value, where it comes from. */
export function settingsAsTable(origins: readonly SaidSetting[], paint: Paint): readonly string[] {
  const rows = origins.map(({ name, value, said }) => [name, printableLine(String(value)), printableLine(said)] as const);
  const header = ["SETTING", "VALUE", "FROM"] as const;
  const widths = [0, 1].map((column) => Math.max(...[header, ...rows].map((row) => (row[column] ?? "").length)));
  const line = (row: readonly [string, string, string]): readonly [string, string, string] => [row[0].padEnd(widths[0] ?? 0), row[1].padEnd(widths[1] ?? 0), row[2]];
  const [setting, value, from] = line(header);
  return [
    paint("dim", `${setting}  ${value}  ${from}`),
    ...rows.map((row, i) => {
      const [name, shown, said] = line(row);
      const isDefault = origins[i]?.origin === "default";
      return `${paint("name", name)}  ${paint(isDefault ? "plain" : "strong", shown)}  ${paint(isDefault ? "dim" : "plain", said)}`;
    }),
  ];
}
