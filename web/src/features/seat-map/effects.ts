/** What moves for a moment where a seat has changed. Nothing does where people have asked for no motion. */
import type { Camera } from "./camera";
import { type Hall, SEAT } from "./hall";
import { SHAPES_FROM_PX } from "./paint";

const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

function effectAt(container: HTMLElement, hall: Hall, seat: number, camera: Camera): HTMLElement {
  const side = SEAT * camera.scale;
  const element = document.createElement("div");
  element.className = "absolute";
  element.style.width = element.style.height = `${side}px`;
  element.style.left = `${(hall.x[seat] ?? 0) * camera.scale + camera.x - side / 2}px`;
  element.style.top = `${(hall.y[seat] ?? 0) * camera.scale + camera.y - side / 2}px`;
  element.style.borderRadius = `${side * 0.25}px`;
  container.append(element);
  return element;
}

/** A seat that was taken fades to its dot. */
export function fadeAway(
  container: HTMLElement | null,
  hall: Hall,
  seat: number,
  camera: Camera,
  color: string,
): void {
  if (!container || still() || SEAT * camera.scale < SHAPES_FROM_PX) return;
  const element = effectAt(container, hall, seat, camera);
  element.style.background = color;
  element.animate([{ opacity: 1 }, { opacity: 0, transform: "scale(0.4)" }], {
    duration: 200,
    easing: "ease-out",
  }).onfinish = () => element.remove();
}

/** A seat that was chosen springs slightly. */
export function spring(container: HTMLElement | null, hall: Hall, seat: number, camera: Camera): void {
  if (!container || still()) return;
  const element = effectAt(container, hall, seat, camera);
  element.style.border = "2px solid var(--ink)";
  element.animate(
    [
      { transform: "scale(0.8)", opacity: 1 },
      { transform: "scale(1.55)", opacity: 0.6, offset: 0.55 },
      { transform: "scale(1.2)", opacity: 0 },
    ],
    { duration: 260, easing: "ease-out" },
  ).onfinish = () => element.remove();
}
