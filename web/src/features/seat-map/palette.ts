/** The colours that a map is drawn in: the theme's, and one for each price category. */
import type { Category } from "@/shared/api/types";

/** Okabe and Ito's set, told apart by all kinds of colour vision; black is left to seats of one's own. */
const OKABE_ITO = ["#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#F0E442"] as const;

export interface SeatColor {
  fill: string;
  /** The same, with a contrast of 3 or more to the paper. */
  edge: string;
  /** What is written on it: 4.5 or more. */
  text: string;
}

export interface Palette {
  paper: string;
  raised: string;
  ink: string;
  soft: string;
  line: string;
  accent: string;
  gone: string;
  held: string;
  stage: string;
  categories: SeatColor[];
}

export const categoryColor = (category: Category, index: number): string =>
  category.color ?? OKABE_ITO[index % OKABE_ITO.length] ?? "#0072B2";

type Rgb = [number, number, number];

export function parseColor(color: string): Rgb {
  const hex = /^#([0-9a-f]{6})$/i.exec(color)?.[1];
  if (hex) return [0, 2, 4].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)) as Rgb;
  const parts = color.match(/[\d.]+/g)?.map(Number) ?? [];
  return [parts[0] ?? 0, parts[1] ?? 0, parts[2] ?? 0];
}

function luminance([red, green, blue]: Rgb): number {
  const linear = (value: number) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
}

/** WCAG's contrast of two colours, 1 to 21. */
export function contrast(a: Rgb, b: Rgb): number {
  const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

const mix = (a: Rgb, b: Rgb, part: number): Rgb =>
  a.map((value, index) => Math.round(value + ((b[index] ?? 0) - value) * part)) as Rgb;
const css = (color: Rgb) => `rgb(${color.join(" ")})`;

/** A category's colours on a paper: nearer to the ink, step by step, until they can be told from it. */
export function seatColor(fill: string, paper: Rgb, ink: Rgb): SeatColor {
  const base = parseColor(fill);
  let edge = base;
  for (let part = 0.1; contrast(edge, paper) < 3 && part < 1; part += 0.1) edge = mix(base, ink, part);
  const text = contrast(base, [255, 255, 255]) >= 4.5 ? "#ffffff" : "#14110e";
  return { fill: css(base), edge: css(edge), text };
}

/** The palette of an element's theme, now. */
export function readPalette(element: HTMLElement, categories: readonly Category[]): Palette {
  const probe = document.createElement("span");
  element.append(probe);
  const read = (name: string) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const paper = read("paper");
  const ink = read("ink");
  const palette: Palette = {
    paper,
    ink,
    raised: read("raised"),
    soft: read("soft"),
    line: read("line"),
    accent: read("accent"),
    gone: read("seat-gone"),
    held: read("seat-held"),
    stage: read("stage"),
    categories: categories.map((category, index) =>
      seatColor(categoryColor(category, index), parseColor(paper), parseColor(ink)),
    ),
  };
  probe.remove();
  return palette;
}
