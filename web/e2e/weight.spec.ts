import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "@playwright/test";

const PAGE = join(import.meta.dirname, "../../src/rowlock/page");
const INITIAL_KB_MAX = 200;

test("the first load is light: at most 200 kB of JavaScript, gzipped", () => {
  const index = readFileSync(join(PAGE, "index.html"), "utf8");
  const scripts = [...index.matchAll(/(?:src|href)="\/(assets\/[^"]+\.js)"/g)].map(([, name]) => name ?? "");
  expect(scripts.length).toBeGreaterThan(0);
  const size = scripts.reduce((sum, name) => sum + gzipSync(readFileSync(join(PAGE, name))).length, 0) / 1024;
  process.stdout.write(`initial JavaScript: ${size.toFixed(1)} kB gzipped, in ${scripts.length} files\n`);
  expect(size).toBeLessThanOrEqual(INITIAL_KB_MAX);
  const all = readdirSync(join(PAGE, "assets")).filter((name) => name.endsWith(".js"));
  expect(all.length).toBeGreaterThan(scripts.length); // the rest comes when it is wanted
});

test("nothing in index.html is inline, or from elsewhere", () => {
  const index = readFileSync(join(PAGE, "index.html"), "utf8");
  expect(index).not.toMatch(/<script(?![^>]*\ssrc=)[^>]*>/);
  expect(index).not.toMatch(/<style|\son\w+=|https?:\/\//);
});
