// Words, ages and numbers in the reader's language.

import { remember, remembered } from "./dom.js";

export const LANGUAGES = {
  en: "English", de: "Deutsch", es: "Español", fr: "Français", id: "Bahasa Indonesia",
  pt: "Português",
};

let words = {};
let english = {};
let language = "en";
let relative, clock, day, days, number;
let ahead_ms = 0;

/** Choose the language: what was chosen before, else the browser's, else English. */
export async function useLanguage(wanted = remembered("language", null)) {
  const known = [wanted, ...navigator.languages.map((tag) => tag.split("-")[0])];
  language = known.find((tag) => tag in LANGUAGES) ?? "en";
  if (wanted) remember("language", language);
  english = english.onset ? english : await (await fetch("page/en.json")).json();
  words = language === "en" ? english : await (await fetch(`page/${language}.json`)).json();
  relative = new Intl.RelativeTimeFormat(language, { numeric: "always", style: "short" });
  clock = new Intl.DateTimeFormat(language, { timeStyle: "medium" });
  day = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" });
  number = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
  days = new Intl.NumberFormat(language, { style: "unit", unit: "day", unitDisplay: "long" });
  document.documentElement.lang = language;
  return language;
}

/** The word for `key`, with {names} filled in. */
export function t(key, values = {}) {
  const text = words[key] ?? english[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** The name of a class; one that no language file knows is shown as it is. */
export const className = (label) => words[`class.${label}`] ?? english[`class.${label}`] ?? label;

/** Go by the post's clock, whatever this machine's says: all times that are shown come from there. */
export function setClock(time) {
  const at_ms = Date.parse(time);
  if (Number.isFinite(at_ms)) ahead_ms = at_ms - Date.now();
}

/** The post's time in milliseconds since 1970. */
export const now = () => Date.now() + ahead_ms;

/** How long ago a time is: "3 min. ago". */
export function ago(time) {
  const past_s = (now() - Date.parse(time)) / 1000;
  if (!Number.isFinite(past_s)) return "–";
  if (Math.abs(past_s) < 5) return t("now");
  for (const [unit, length_s] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(past_s) >= length_s) {
      return relative.format(-Math.trunc(past_s / length_s), unit);
    }
  }
  return relative.format(-Math.trunc(past_s), "second");
}

/** The time of day, with the date where it isn't today. */
export function when(time) {
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return "–";
  return (at.toDateString() === new Date().toDateString() ? clock : day).format(at);
}

/** A length of time: "1:05:03", and beyond two days "12 days". */
export function lasting(duration_s) {
  if (duration_s >= 2 * 86400) return days.format(Math.floor(duration_s / 86400));
  const whole = Math.max(0, Math.round(duration_s));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (!parts[0]) parts.shift();
  return parts.map((part, at) => (at ? String(part).padStart(2, "0") : part)).join(":");
}

/** A number with a unit, or a dash where there is none. */
export function figure(value, unit = "") {
  if (typeof value !== "number" || !Number.isFinite(value)) return "–";
  return `${number.format(value)}${unit && "\u202f"}${unit}`;
}

/** Bytes in the largest unit that leaves a number above 1. */
export function bytes(value) {
  if (typeof value !== "number") return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  const at = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, value)) / 3));
  return figure(value / 1000 ** at, units[at]);
}
