/** Light, dark, or as the system says. Kept in this browser only. */

export type Theme = "system" | "light" | "dark";

const KEY = "rowlock.theme";

export function storedTheme(): Theme {
  const stored = localStorage.getItem(KEY);
  return stored === "light" || stored === "dark" ? stored : "system";
}

/** Sets the theme; what draws by itself (the seat map) hears of it by the event `themechange` on the document. */
export function applyTheme(theme: Theme): void {
  if (theme === "system") {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem(KEY);
  } else {
    document.documentElement.dataset.theme = theme;
    localStorage.setItem(KEY, theme);
  }
  document.dispatchEvent(new Event("themechange"));
}
