// Fingers, buttons and wheel on the picture. One finger scrolls, windows or measures, as the tool says; two zoom and shift; two taps fit or show pixels. Of a mouse the right button windows, the middle one shifts.

/** @typedef {'down'|'move'|'up'|'cancel'} Phase */
/** @typedef {{tool: () => import('./toolbar.js').Tool, step: () => number, scroll: (frames: number) => void, window: (dx: number, dy: number) => void, measure: (phase: Phase, x: number, y: number) => void,
 *   zoom: (factor: number, x: number, y: number, dx: number, dy: number) => void, toggle: (x: number, y: number) => void, tap?: (x: number, y: number) => void}} Hands
 *  step: CSS pixels of a finger's way for one frame */

const TAP_MS = 300;
const TAP_WAY = 12;
/** A wheel's way for one frame: a notch is one, however far it goes, and a trackpad sends many small ones. A line is a third of a notch. */
const NOTCH_PX = 40, LINE_PX = 14;
/** Of a mouse; a finger is the main one. */
const MAIN = 0, MIDDLE = 1, RIGHT = 2;

/** CSS pixels of a finger's way for one of so many frames: all of them within the surface, but neither too quick nor too slow to aim. @param {HTMLElement} surface @param {number} frames */
export const stepOf = (surface, frames) => Math.min(16, Math.max(3, (surface.clientHeight * 0.8) / Math.max(1, frames)));

/** @param {HTMLElement} surface @param {Hands} hands */
export function gestures(surface, hands) {
  /** @type {Map<number, {x:number, y:number}>} */
  const fingers = new Map();
  let left = 0, way = 0, downAt = 0, tapAt = 0, two = false, button = 0, turned = 0;

  const middle = () => {
    const [a, b] = [...fingers.values()];
    return a && b ? { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y) } : null;
  };

  const measure = (/** @type {Phase} */ phase, /** @type {PointerEvent} */ { offsetX, offsetY }) => { if (hands.tool() === 'measure') hands.measure(phase, offsetX, offsetY); };

  surface.addEventListener('pointerdown', (event) => {
    // A pointer that is gone by now cannot be held.
    try { surface.setPointerCapture(event.pointerId); } catch { return; }
    fingers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    if (fingers.size === 1) [left, way, downAt, two, button] = [0, 0, event.timeStamp, false, event.button];
    else two = true;
    if (button === MAIN) measure(two ? 'cancel' : 'down', event);
  });
  surface.addEventListener('pointermove', (event) => {
    const finger = fingers.get(event.pointerId);
    if (!finger) return;
    const before = middle(), dx = event.offsetX - finger.x, dy = event.offsetY - finger.y;
    Object.assign(finger, { x: event.offsetX, y: event.offsetY });
    const now = middle();
    if (before && now) hands.zoom(before.apart > 0 ? now.apart / before.apart : 1, now.x, now.y, now.x - before.x, now.y - before.y);
    else if (!two) {
      way += Math.abs(dx) + Math.abs(dy);
      if (button === MIDDLE) hands.zoom(1, event.offsetX, event.offsetY, dx, dy);
      else if (hands.tool() === 'window' || button === RIGHT) hands.window(dx, dy);
      else if (hands.tool() === 'measure') measure('move', event);
      else {
        left += dy;
        const frames = Math.trunc(left / hands.step());
        left -= frames * hands.step();
        if (frames) hands.scroll(frames);
      }
    }
  });
  const up = (/** @type {PointerEvent} */ event) => {
    const was = fingers.delete(event.pointerId);
    if (was && !two && button === MAIN) measure(event.type === 'pointerup' ? 'up' : 'cancel', event);
    if (!was || fingers.size > 0 || two || button !== MAIN || way > TAP_WAY || event.type !== 'pointerup' || event.timeStamp - downAt > TAP_MS) return;
    if (event.timeStamp - tapAt < TAP_MS) {
      hands.toggle(event.offsetX, event.offsetY);
      tapAt = 0;
    } else {
      tapAt = event.timeStamp;
      hands.tap?.(event.offsetX, event.offsetY);
    }
  };
  surface.addEventListener('pointerup', up);
  surface.addEventListener('pointercancel', up);
  // Else a browser scrolls by itself.
  surface.addEventListener('mousedown', (event) => { if (event.button === MIDDLE) event.preventDefault(); });
  surface.addEventListener('contextmenu', (event) => event.preventDefault());
  surface.addEventListener('wheel', (event) => {
    event.preventDefault();
    if (event.ctrlKey) hands.zoom(Math.exp(-event.deltaY / 200), event.offsetX, event.offsetY, 0, 0);
    else {
      const way = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : LINE_PX);
      turned = Math.max(-NOTCH_PX, Math.min(NOTCH_PX, way)) + (way * turned > 0 ? turned : 0);
      const frames = Math.trunc(turned / NOTCH_PX);
      turned -= frames * NOTCH_PX;
      if (frames) hands.scroll(frames);
    }
  }, { passive: false });
}
