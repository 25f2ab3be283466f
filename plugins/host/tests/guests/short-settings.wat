;; Takes settings of three bytes and more only.
;;; module
(data (i32.const 1024) "too short")
;;; configure
(if (i32.lt_u (local.get $len) (i32.const 3))
  (then
    (i32.store8 (i32.const 192) (i32.const 1))
    (i32.store (i32.const 196) (i32.const 1024))
    (i32.store (i32.const 200) (i32.const 9))
    (return (i32.const 192))))
(call $needs (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
