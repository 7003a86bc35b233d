/** Which part of a hall is seen: screen = world × scale + (x, y). Pure. */
import type { Box } from "./hall";

export interface Camera {
  x: number;
  y: number;
  scale: number;
}

export interface Size {
  width: number;
  height: number;
}

/** A seat is never shown wider than some 54 px: more tells nothing more. */
export const SCALE_MAX = 3;

/** Narrower than this, or filled by the hall from side to side, buttons over it would hide seats: their room is left free. */
const NARROW_PX = 640;
const BUTTONS_TOP_PX = 60;
const BUTTONS_RIGHT_PX = 52;

/** All of it, in the middle of what no button covers, not larger than life. */
export function fitTo(bounds: Box, size: Size, scaleMax = 1.6): Camera {
  const width = bounds.maxX - bounds.minX;
  const height = bounds.maxY - bounds.minY;
  const filled = Math.min(size.width / width, size.height / height, scaleMax) * width;
  const narrow = size.width < NARROW_PX || (size.width - filled) / 2 < BUTTONS_RIGHT_PX;
  const top = narrow ? BUTTONS_TOP_PX : 0;
  const room = { width: size.width - (narrow ? BUTTONS_RIGHT_PX : 0), height: size.height - top };
  const scale = Math.min(room.width / width, room.height / height, scaleMax);
  return {
    scale,
    x: room.width / 2 - ((bounds.minX + bounds.maxX) / 2) * scale,
    y: top + room.height / 2 - ((bounds.minY + bounds.maxY) / 2) * scale,
  };
}

/** Closer by a factor, with the place under the pointer staying there; neither beyond the largest nor half the fit. */
export function zoomAt(camera: Camera, factor: number, at: { x: number; y: number }, fitted: Camera): Camera {
  const scale = Math.min(SCALE_MAX, Math.max(fitted.scale * 0.7, camera.scale * factor));
  const grown = scale / camera.scale;
  return { scale, x: at.x - (at.x - camera.x) * grown, y: at.y - (at.y - camera.y) * grown };
}

/** Keeps at least a third of the screen on the hall: nobody gets lost beside it. */
export function keepInSight(camera: Camera, bounds: Box, size: Size): Camera {
  const { scale } = camera;
  const clamp = (value: number, low: number, high: number) =>
    low > high ? (low + high) / 2 : Math.min(high, Math.max(low, value));
  return {
    scale,
    x: clamp(camera.x, size.width / 3 - bounds.maxX * scale, (size.width * 2) / 3 - bounds.minX * scale),
    y: clamp(camera.y, size.height / 3 - bounds.maxY * scale, (size.height * 2) / 3 - bounds.minY * scale),
  };
}

/** The part of the world that is on the screen. */
export function visible(camera: Camera, size: Size): Box {
  return {
    minX: -camera.x / camera.scale,
    minY: -camera.y / camera.scale,
    maxX: (size.width - camera.x) / camera.scale,
    maxY: (size.height - camera.y) / camera.scale,
  };
}

/** The camera that shows a place in the middle, at least this close. */
export function lookAt(x: number, y: number, scale: number, size: Size): Camera {
  return { scale, x: size.width / 2 - x * scale, y: size.height / 2 - y * scale };
}
