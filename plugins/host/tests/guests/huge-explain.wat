;; Explains itself in a million bytes.
;;; memory
32
;;; explain
(i32.store (i32.const 248) (i32.const 4096))
(i32.store (i32.const 252) (i32.const 1000000))
(i32.const 248)
