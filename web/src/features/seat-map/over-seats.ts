/** What lies over the seats: the keyboard's place, how full sections are, a rectangle that is being drawn. */
import { count } from "@/shared/ui/format";
import type { Camera } from "./camera";
import { type Box, type Hall, SEAT } from "./hall";
import type { SeatStatuses } from "./statuses";

export function placeCursor(button: HTMLButtonElement | null, hall: Hall, scale: number): void {
  if (!button) return;
  const seat = hall.positions.get(button.dataset.seat ?? "") ?? 0;
  const side = Math.max(SEAT * scale, 10);
  const x = (hall.x[seat] ?? 0) * scale - side / 2;
  const y = (hall.y[seat] ?? 0) * scale - side / 2;
  button.style.width = button.style.height = `${side}px`;
  button.style.transform = `translate(${x}px, ${y}px)`;
}

/** From afar, a section's name and how full it is lie over its middle: as much of it as there is room for. */
export function placePills(container: HTMLDivElement | null, hall: Hall, scale: number): void {
  if (!container) return;
  const far = SEAT * scale < 7 && hall.sections.length > 1;
  hall.sections.forEach((section, number) => {
    const pill = container.children[number] as HTMLElement | undefined;
    if (!pill) return;
    const width = (section.maxX - section.minX) * scale;
    const height = (section.maxY - section.minY) * scale;
    const size = far ? pillSize(width, height) : null;
    pill.style.display = size ? "flex" : "none";
    if (!size) return;
    pill.dataset.size = size;
    pill.style.maxWidth = `${width - 4}px`;
    pill.style.width = size === "bar" ? `${Math.min(width - 8, 40)}px` : "";
    const x = ((section.minX + section.maxX) / 2) * scale;
    const y = ((section.minY + section.maxY) / 2) * scale;
    pill.style.transform = `translate(${x}px, ${y}px) translate(-50%, -50%)`;
  });
}

/** Never so much that a section is hidden by it: a name and a number, a name, or just how full. */
export function pillSize(width: number, height: number): "all" | "name" | "bar" | null {
  if (width > 90 && height > 64) return "all";
  if (width > 52 && height > 34) return "name";
  return width > 24 && height > 12 ? "bar" : null;
}

/** Names without the words that all of them begin with, which tell nothing apart: of "Block 7" and "Block 12", 7 and 12. */
export function shortNames(names: readonly string[]): string[] {
  const words = names.map((name) => name.split(" "));
  let alike = 0;
  while (words.every((of) => of.length > alike + 1 && of[alike] === words[0]?.[alike])) alike += 1;
  return words.map((of) => of.slice(names.length > 1 ? alike : 0).join(" "));
}

export function countPills(container: HTMLDivElement | null, hall: Hall, statuses: SeatStatuses): void {
  if (!container || hall.sections.length < 2) return;
  hall.sections.forEach((section, number) => {
    const pill = container.children[number];
    if (!pill) return;
    let free = 0;
    for (let seat = section.first; seat < section.first + section.count; seat++) {
      if (statuses.isFree(seat)) free += 1;
    }
    const bar = pill.querySelector<HTMLElement>("[data-bar] > span");
    const text = pill.querySelector("[data-count]");
    const gone = section.count ? 1 - free / section.count : 1;
    if (bar) bar.style.transform = `scaleX(${gone})`;
    const words = free === 0 ? "sold out" : `${count(free)} free`;
    if (text && text.textContent !== words) text.textContent = words;
  });
}

export function placeRubber(element: HTMLDivElement | null, box: Box, camera: Camera, done: boolean): void {
  if (!element) return;
  element.style.display = done ? "none" : "block";
  element.style.left = `${box.minX * camera.scale + camera.x}px`;
  element.style.top = `${box.minY * camera.scale + camera.y}px`;
  element.style.width = `${(box.maxX - box.minX) * camera.scale}px`;
  element.style.height = `${(box.maxY - box.minY) * camera.scale}px`;
}
