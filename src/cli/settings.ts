import { readFile } from "node:fs/promises";
import { type Command, Option } from "commander";
import type { EffectiveSettings, SaidSetting } from "../config/said-settings.js";
import { SETTING_NAMES, settingEntry } from "../config/setting-catalog.js";
import type { SettingName } from "../config/setting-catalog.js";
import { UsageError } from "./failure.js";

/** What Commander found of the flags of the settings, by its own names. */
export type SettingFlags = Readonly<Record<string, unknown>>;

const MEMORY_FLAG = "--memory";

/** Gives a command every setting of the server as a flag, and `--config`. */
export function addSettingFlags(command: Command): Command {
  command.addOption(new Option("-c, --config <file>", "JSON file with settings; flags and TIDEMARK_ variables go before it").env("TIDEMARK_CONFIG"));
  for (const name of SETTING_NAMES) {
    for (const option of optionsOf(name)) command.addOption(option);
    if (name === "engine") command.addOption(new Option(`-m, ${MEMORY_FLAG}`, "short for --engine memory").conflicts("engine"));
  }
  return command;
}

/** The settings that flags, the environment and the configuration file amount to. UsageError says which of them cannot be. */
export async function readSettings(flags: SettingFlags): Promise<EffectiveSettings> {
  // Loaded when they are needed: publishing from a shell must not load the schema.
  const { effectiveSettings, settingOfFlag, settingsInEnvironment, settingsInFile } = await import("../config/said-settings.js");
  const { SettingsError } = await import("../config/serve-settings.js");
  const typed: SaidSetting[] = flags.memory === true ? [settingOfFlag("engine", MEMORY_FLAG, "memory")] : [];
  for (const name of SETTING_NAMES) {
    const { flag } = settingEntry(name);
    const value = flags[new Option(flag).attributeName()];
    if (typeof value === "string") typed.push(settingOfFlag(name, flag, value));
    if (typeof value === "boolean") typed.push(settingOfFlag(name, value ? flag : negated(flag), value));
  }
  const file = typeof flags.config === "string" && flags.config !== "" ? flags.config : undefined;
  try {
    const inFile = file === undefined ? [] : settingsInFile(file, await contentOf(file));
    return effectiveSettings([...typed, ...settingsInEnvironment(process.env), ...inFile]);
  } catch (error) {
    if (error instanceof SettingsError) throw new UsageError(error.message);
    throw error;
  }
}

function optionsOf(name: SettingName): readonly Option[] {
  const { kind, flag, short, placeholder, about, values, default: value } = settingEntry(name);
  const names = short === undefined ? flag : `-${short}, ${flag}`;
  if (kind !== "boolean") {
    const option = new Option(`${names} <${placeholder ?? "value"}>`, `${about} (default: ${value})`);
    // Told, and not checked: the schema judges what is said, wherever it is said.
    if (values !== undefined) option.argChoices = [...values];
    return [option];
  }
  // Both ways round, so that a flag can take back what the environment or the file says; help shows the one that changes something.
  return [new Option(names, about).hideHelp(value === true), new Option(negated(flag), `do not ${about}`).hideHelp(value === false)];
}

function negated(flag: string): string {
  return flag.replace(/^--/, "--no-");
}

async function contentOf(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new UsageError(`the configuration file ${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}
