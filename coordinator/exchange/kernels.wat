;; Loops over vectors of float32, four at a time. All addresses are bytes; `end` is where the output ends (checksum: the input).
;; Every length is a multiple of 16 numbers. Compiled by `npm run generate:kernels` into kernels.wasm.ts.
(module
  (import "exchange" "memory" (memory 1 65536 shared))

  ;; The nearest bfloat16, ties to even, as a float32 whose lower half is zero. NaN stays NaN.
  (func $nearest (param $x v128) (result v128)
    (v128.and
      (v128.bitselect
        (v128.or (local.get $x) (v128.const i32x4 0x00400000 0x00400000 0x00400000 0x00400000))
        (i32x4.add
          (i32x4.add (local.get $x) (v128.const i32x4 0x7fff 0x7fff 0x7fff 0x7fff))
          (v128.and (i32x4.shr_u (local.get $x) (i32.const 16)) (v128.const i32x4 1 1 1 1)))
        (f32x4.ne (local.get $x) (local.get $x)))
      (v128.const i32x4 0xffff0000 0xffff0000 0xffff0000 0xffff0000)))

  ;; out = a + b
  (func (export "add") (param $out i32) (param $a i32) (param $b i32) (param $end i32)
    (loop $next
      (v128.store (local.get $out) (f32x4.add (v128.load (local.get $a)) (v128.load (local.get $b))))
      (v128.store offset=16 (local.get $out) (f32x4.add (v128.load offset=16 (local.get $a)) (v128.load offset=16 (local.get $b))))
      (v128.store offset=32 (local.get $out) (f32x4.add (v128.load offset=32 (local.get $a)) (v128.load offset=32 (local.get $b))))
      (v128.store offset=48 (local.get $out) (f32x4.add (v128.load offset=48 (local.get $a)) (v128.load offset=48 (local.get $b))))
      (local.set $a (i32.add (local.get $a) (i32.const 64)))
      (local.set $b (i32.add (local.get $b) (i32.const 64)))
      (br_if $next (i32.lt_u (local.tee $out (i32.add (local.get $out) (i32.const 64))) (local.get $end)))))

  ;; out = nearest bfloat16 of a + b, as float32
  (func (export "addRounded") (param $out i32) (param $a i32) (param $b i32) (param $end i32)
    (loop $next
      (v128.store (local.get $out) (call $nearest (f32x4.add (v128.load (local.get $a)) (v128.load (local.get $b)))))
      (local.set $a (i32.add (local.get $a) (i32.const 16)))
      (local.set $b (i32.add (local.get $b) (i32.const 16)))
      (br_if $next (i32.lt_u (local.tee $out (i32.add (local.get $out) (i32.const 16))) (local.get $end)))))

  ;; out = nearest bfloat16 of a, as float32
  (func (export "round") (param $out i32) (param $a i32) (param $end i32)
    (loop $next
      (v128.store (local.get $out) (call $nearest (v128.load (local.get $a))))
      (local.set $a (i32.add (local.get $a) (i32.const 16)))
      (br_if $next (i32.lt_u (local.tee $out (i32.add (local.get $out) (i32.const 16))) (local.get $end)))))

  ;; The upper halves of rounded numbers, two bytes each.
  (func (export "pack") (param $out i32) (param $a i32) (param $end i32)
    (loop $next
      (v128.store (local.get $out)
        (i16x8.narrow_i32x4_u
          (i32x4.shr_u (v128.load (local.get $a)) (i32.const 16))
          (i32x4.shr_u (v128.load offset=16 (local.get $a)) (i32.const 16))))
      (local.set $a (i32.add (local.get $a) (i32.const 32)))
      (br_if $next (i32.lt_u (local.tee $out (i32.add (local.get $out) (i32.const 16))) (local.get $end)))))

  ;; The reverse of pack.
  (func (export "unpack") (param $out i32) (param $a i32) (param $end i32)
    (local $halves v128)
    (loop $next
      (local.set $halves (v128.load (local.get $a)))
      (v128.store (local.get $out) (i32x4.shl (i32x4.extend_low_i16x8_u (local.get $halves)) (i32.const 16)))
      (v128.store offset=16 (local.get $out) (i32x4.shl (i32x4.extend_high_i16x8_u (local.get $halves)) (i32.const 16)))
      (local.set $a (i32.add (local.get $a) (i32.const 16)))
      (br_if $next (i32.lt_u (local.tee $out (i32.add (local.get $out) (i32.const 32))) (local.get $end)))))

  ;; Fletcher's sums (1982) of 32-bit words, in four columns that are mixed at the end: any flipped bit and any two words or
  ;; blocks exchanged show. Against accidents, not against intent.
  (func (export "checksum") (param $a i32) (param $end i32) (result i32)
    (local $first v128) (local $second v128) (local $hash i32)
    (loop $next
      (local.set $first (i32x4.add (local.get $first) (v128.load (local.get $a))))
      (local.set $second (i32x4.add (local.get $second) (local.get $first)))
      (br_if $next (i32.lt_u (local.tee $a (i32.add (local.get $a) (i32.const 16))) (local.get $end))))
    (local.set $hash (call $mix (local.get $hash) (i32x4.extract_lane 0 (local.get $first)) (i32x4.extract_lane 0 (local.get $second))))
    (local.set $hash (call $mix (local.get $hash) (i32x4.extract_lane 1 (local.get $first)) (i32x4.extract_lane 1 (local.get $second))))
    (local.set $hash (call $mix (local.get $hash) (i32x4.extract_lane 2 (local.get $first)) (i32x4.extract_lane 2 (local.get $second))))
    (call $mix (local.get $hash) (i32x4.extract_lane 3 (local.get $first)) (i32x4.extract_lane 3 (local.get $second))))

  (func $mix (param $hash i32) (param $first i32) (param $second i32) (result i32)
    (i32.mul
      (i32.xor (i32.mul (i32.xor (local.get $hash) (local.get $first)) (i32.const 0x85ebca6b)) (i32.rotl (local.get $second) (i32.const 13)))
      (i32.const 0xc2b2ae35))))
