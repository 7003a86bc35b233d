/** Pointers and the wheel: drag to pan, two fingers or the wheel to zoom, a press without a drag on a seat. */
import type { Box } from "./hall";
import type { MapView } from "./view";

/** A hand trembles; less than this is no drag. */
const DRAG_PX = 6;

interface Point {
  x: number;
  y: number;
}

export interface GestureHandlers {
  press(at: Point, event: PointerEvent): void;
  hover(at: Point | null): void;
  /** A rectangle in world units, while it is drawn and, at last, done. Undefined where there is no such choosing. */
  area: ((box: Box, done: boolean, event: PointerEvent) => void) | undefined;
  /** Whether a drag draws a rectangle; else it pans. */
  drawsArea(event: PointerEvent): boolean;
}

export function listen(element: HTMLElement, view: MapView, handlers: GestureHandlers): () => void {
  const pointers = new Map<number, Point>();
  let began: Point | null = null;
  let dragging = false;
  let drawing = false;

  const at = (event: PointerEvent | WheelEvent): Point => {
    const box = element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const rectangle = (to: Point): Box => {
    const a = view.toWorld(began ?? to);
    const b = view.toWorld(to);
    return {
      minX: Math.min(a.x, b.x),
      minY: Math.min(a.y, b.y),
      maxX: Math.max(a.x, b.x),
      maxY: Math.max(a.y, b.y),
    };
  };

  const down = (event: PointerEvent) => {
    if (event.button !== 0 || (event.target as Element).closest("[data-map-control]")) return;
    pointers.set(event.pointerId, at(event));
    if (pointers.size === 1) {
      began = at(event);
      dragging = false;
      drawing = handlers.area !== undefined && handlers.drawsArea(event);
    } else {
      dragging = true; // two fingers press nothing
    }
  };
  const move = (event: PointerEvent) => {
    const to = at(event);
    const from = pointers.get(event.pointerId);
    if (!from) {
      if (event.pointerType === "mouse") handlers.hover(to);
      return;
    }
    if (!dragging && began && Math.hypot(to.x - began.x, to.y - began.y) > DRAG_PX) {
      dragging = true;
      element.setPointerCapture(event.pointerId);
      handlers.hover(null);
    }
    if (pointers.size === 1 && dragging) {
      if (drawing) handlers.area?.(rectangle(to), false, event);
      else view.pan(to.x - from.x, to.y - from.y);
    } else if (pointers.size === 2) {
      const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
      if (other) {
        const before = Math.hypot(from.x - other.x, from.y - other.y);
        const after = Math.hypot(to.x - other.x, to.y - other.y);
        view.pan((to.x - from.x) / 2, (to.y - from.y) / 2);
        if (before > 0) view.zoom(after / before, { x: (to.x + other.x) / 2, y: (to.y + other.y) / 2 });
      }
    }
    pointers.set(event.pointerId, to);
  };
  const up = (event: PointerEvent) => {
    if (!pointers.delete(event.pointerId)) return;
    if (dragging && drawing && pointers.size === 0) handlers.area?.(rectangle(at(event)), true, event);
    if (!dragging && event.type === "pointerup") handlers.press(at(event), event);
    if (pointers.size === 0) {
      began = null;
      dragging = drawing = false;
    }
  };
  const leave = () => handlers.hover(null);
  const wheel = (event: WheelEvent) => {
    event.preventDefault();
    handlers.hover(null); // the seat under the mouse goes elsewhere
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    const speed = event.ctrlKey ? 0.01 : 0.0018; // a pinch on a touchpad comes as small steps with ctrl
    view.zoom(Math.exp(-Math.max(-240, Math.min(240, event.deltaY * lines)) * speed), at(event));
  };

  element.addEventListener("pointerdown", down);
  element.addEventListener("pointermove", move);
  element.addEventListener("pointerup", up);
  element.addEventListener("pointercancel", up);
  element.addEventListener("pointerleave", leave);
  element.addEventListener("wheel", wheel, { passive: false });
  return () => {
    element.removeEventListener("pointerdown", down);
    element.removeEventListener("pointermove", move);
    element.removeEventListener("pointerup", up);
    element.removeEventListener("pointercancel", up);
    element.removeEventListener("pointerleave", leave);
    element.removeEventListener("wheel", wheel);
  };
}
