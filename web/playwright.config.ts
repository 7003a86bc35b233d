import { defineConfig } from "@playwright/test";

// Debian's Chromium; Playwright's own is never downloaded.
const args = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
if (process.getuid?.() === 0) args.push("--no-sandbox");

export default defineConfig({
  testDir: "e2e",
  outputDir: "test-results",
  workers: 1, // one server and one browser are enough for two cores
  fullyParallel: false,
  forbidOnly: Boolean(process.env.CI),
  retries: 0, // a test that passes the second time is a bug somewhere
  timeout: 90_000,
  expect: { timeout: 20_000 },
  reporter: [["list"]],
  use: {
    viewport: { width: 1280, height: 800 },
    launchOptions: { executablePath: "/usr/bin/chromium", args },
    actionTimeout: 20_000,
    serviceWorkers: "block",
    trace: "off",
  },
  projects: [
    { name: "e2e", testMatch: /\.spec\.ts$/ },
    { name: "shots", testMatch: /\.shots\.ts$/ }, // `npm run screenshots`: to look at
  ],
});
