;; Parks for the sum of all loads.
;;; configure
(call $needs (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0))
;;; pick
(block $done
  (loop $next
    (br_if $done (i32.ge_u (local.get $i) (local.get $loads_len)))
    (local.set $sum
      (i32.add (local.get $sum) (i32.load (i32.add (local.get $loads) (i32.shl (local.get $i) (i32.const 2))))))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br $next)))
(call $verdict (i32.const 3) (local.get $sum))
